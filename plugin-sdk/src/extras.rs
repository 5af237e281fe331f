//! What a plugin may export beside its kind, from the same instance: the further words of
//! [`balancer!`](crate::balancer!) and [`http_filter!`](crate::http_filter!).

/// One rule for each word, which is the name of its trait too. `$instance` is the thread-local that
/// holds the plugin, `$component` the type that the kind is exported from.
#[doc(hidden)]
#[macro_export]
macro_rules! export_extra {
    (Replies, $instance:ident, $component:ident) => {
        impl $crate::bindings::replies::exports::jackfield::plugin::replies::Guest for $component {
            fn on_reply(ticket: u32, reply: ::std::result::Result<$crate::http::Reply, $crate::http::NoReply>) {
                let ticket = $crate::http::Ticket(ticket);
                $instance.with(|instance| {
                    instance.with(|plugin| $crate::Replies::on_reply(plugin, ticket, reply));
                });
            }
        }

        $crate::bindings::replies::export_replies!($component);
    };
    (Refreshing, $instance:ident, $component:ident) => {
        impl $crate::bindings::refreshing::exports::jackfield::plugin::refreshing::Guest for $component {
            fn tick() -> u32 {
                let next = $instance.with(|instance| instance.with(|plugin| $crate::Refreshing::tick(plugin)));
                $crate::refreshing::millis(next.unwrap_or_default())
            }
        }

        $crate::bindings::refreshing::export_refreshing!($component);
    };
    (BodyFilter, $instance:ident, $component:ident) => {
        impl $crate::bindings::body_filtering::exports::jackfield::plugin::body_filtering::Guest for $component {
            fn deliveries() -> $crate::Wishes {
                let wishes = $instance.with(|instance| instance.with(|plugin| $crate::BodyFilter::deliveries(plugin)));
                wishes.unwrap_or($crate::Wishes::NONE)
            }

            fn on_request_body(chunk: ::std::vec::Vec<u8>, end: bool) -> $crate::Verdict {
                let call = |plugin: &mut _| $crate::BodyFilter::on_request_body(plugin, chunk, end);
                $instance.with(|instance| instance.with(call)).unwrap_or($crate::Verdict::Pass)
            }

            fn on_response_body(chunk: ::std::vec::Vec<u8>, end: bool) -> $crate::Verdict {
                let call = |plugin: &mut _| $crate::BodyFilter::on_response_body(plugin, chunk, end);
                $instance.with(|instance| instance.with(call)).unwrap_or($crate::Verdict::Pass)
            }
        }

        $crate::bindings::body_filtering::export_body_filtering!($component);
    };
}
