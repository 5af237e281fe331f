//! The HTTP filter kind: the trait that a plugin implements and the line that exports it.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};

use crate::Address;
pub use crate::bindings::http_filter::exports::jackfield::plugin::filtering::{FilterContext, Phases};

/// A plugin that changes, answers or redirects HTTP requests and responses. Export it with
/// [`http_filter!`](crate::http_filter!).
pub trait HttpFilter: Sized + 'static {
    /// Makes the filter from the settings of this use: a JSON object, `{}` when there are none
    /// (see [`settings`](crate::settings)). The operator sees an error as a configuration error.
    fn configure(settings: &str) -> Result<Self, String>;

    /// The calls that this use wants, asked once after `configure`; the others cost nothing.
    fn phases(&self) -> Phases;

    /// The head of the request is there; nothing was sent on yet.
    fn on_request(&mut self, context: &FilterContext) {
        let _ = context;
    }

    /// The head of the response is there; nothing was passed back yet.
    fn on_response(&mut self, context: &FilterContext) {
        let _ = context;
    }
}

impl Address {
    /// The 128 bits of the IPv6 address, an IPv4 address as `::ffff:a.b.c.d`.
    #[inline]
    pub fn to_bits(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// The address as what it is: a mapped IPv4 address becomes IPv4 again.
    #[inline]
    pub fn to_ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self.to_bits()).to_canonical()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        let bits = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }
}

/// Where [`http_filter!`](crate::http_filter!) keeps its plugin. Not for direct use.
#[doc(hidden)]
pub struct FilterInstance<F>(RefCell<Option<F>>);

impl<F: HttpFilter> FilterInstance<F> {
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    pub fn configure(&self, settings: &str) -> Result<Phases, String> {
        let filter = F::configure(settings)?;
        let phases = filter.phases();
        self.0.replace(Some(filter));
        Ok(phases)
    }

    #[inline]
    pub fn on_request(&self, context: &FilterContext) {
        if let Ok(Some(filter)) = self.0.try_borrow_mut().as_deref_mut() {
            filter.on_request(context);
        }
    }

    #[inline]
    pub fn on_response(&self, context: &FilterContext) {
        if let Ok(Some(filter)) = self.0.try_borrow_mut().as_deref_mut() {
            filter.on_response(context);
        }
    }
}

impl<F> FilterInstance<F> {
    /// For what it exports beside its kind; none before `configure`.
    pub fn with<R>(&self, call: impl FnOnce(&mut F) -> R) -> Option<R> {
        self.0.try_borrow_mut().ok()?.as_mut().map(call)
    }
}

impl<F: HttpFilter> Default for FilterInstance<F> {
    fn default() -> Self {
        Self::new()
    }
}

/// Exports a type that implements [`HttpFilter`] from this component: one line at the top level of a
/// `cdylib` crate. On other targets than wasm32 it only checks the type.
///
/// What else the type is for the proxy follows, by the names of the traits:
/// `http_filter!(Auth, Replies);`.
#[macro_export]
macro_rules! http_filter {
    ($filter:ty $(, $extra:ident)* $(,)?) => {
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            mod export {
                use super::*;
                use $crate::bindings::http_filter::exports::jackfield::plugin::filtering;

                ::std::thread_local! {
                    static INSTANCE: $crate::FilterInstance<$filter> =
                        const { $crate::FilterInstance::new() };
                }

                struct Component;

                impl filtering::Guest for Component {
                    fn configure(
                        settings: ::std::string::String,
                    ) -> ::std::result::Result<$crate::Phases, ::std::string::String> {
                        INSTANCE.with(|instance| instance.configure(&settings))
                    }

                    fn on_request(context: $crate::FilterContext) {
                        INSTANCE.with(|instance| instance.on_request(&context));
                    }

                    fn on_response(context: $crate::FilterContext) {
                        INSTANCE.with(|instance| instance.on_response(&context));
                    }
                }

                $crate::bindings::http_filter::export_http_filter!(Component);
                $($crate::export_extra!($extra, INSTANCE, Component);)*
            }

            // Natively: the plugin is a plain library, its type is checked and counts as used.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn() -> $crate::FilterInstance<$filter> = $crate::FilterInstance::new;
            $(
                #[cfg(not(target_arch = "wasm32"))]
                const _: fn() = || {
                    fn implements<T: $crate::$extra>() {}
                    implements::<$filter>();
                };
            )*
        };
    };
}
