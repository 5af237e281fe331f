pub static HEADER: http::HeaderName = http::HeaderName::from_static("endpoint-load-metrics");
pub fn parse(_: &[u8]) -> Option<(Option<f64>, Option<f64>)> {
    None
}
