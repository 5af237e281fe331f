pub struct Checks;
pub fn start(_: &std::sync::Arc<crate::upstream::Upstream>) -> Checks {
    Checks
}
