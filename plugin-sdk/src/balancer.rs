//! The balancer kind: the trait that a plugin implements and the line that exports it.

use std::borrow::Cow;
use std::cell::RefCell;

pub use crate::bindings::balancer::exports::jackfield::plugin::balancing::{EndpointSet, EndpointState, PickContext};
use crate::{NONE, counters, endpoints};

/// A plugin that chooses endpoints, for HTTP, TCP and UDP alike. Export it with [`balancer!`](crate::balancer!).
pub trait Balancer: Sized + 'static {
    /// Makes the balancer from the settings of this use: a JSON object, `{}` when there are none
    /// (see [`settings`](crate::settings)). The operator sees an error as a configuration error.
    fn configure(settings: &str) -> Result<Self, String>;

    /// The endpoints: before the first [`pick`](Balancer::pick), and again after every change of
    /// membership, weight, state or label. Positions in these columns are what `pick` answers.
    fn update(&mut self, endpoints: &EndpointSet) {
        let _ = endpoints;
    }

    /// The endpoint for this request, connection or session; `None` when there is none to give.
    fn pick(&mut self, context: &PickContext) -> Option<u32>;
}

impl EndpointSet {
    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The positions of the endpoints that may be given work, in order.
    pub fn healthy(&self) -> Vec<u32> {
        (0u32..)
            .zip(&self.states)
            .filter(|(_, state)| **state == EndpointState::Healthy)
            .map(|(position, _)| position)
            .collect()
    }

    /// The weight at a position, as the contract bounds it (1 to 65,535) whatever the column says.
    pub fn weight(&self, position: u32) -> u32 {
        let weight = self.weights.get(position as usize).copied();
        weight.unwrap_or(1).clamp(1, 65_535)
    }
}

impl PickContext {
    /// Whether every one of `healthy` endpoints is eligible, so that there is nothing to ask: those
    /// who are eligible are healthy ones, and if there are as many, they are the same.
    pub fn all_of(&self, healthy: &[u32]) -> bool {
        self.eligible as usize == healthy.len()
    }

    /// The positions of the eligible endpoints: `healthy` (all of them, as of the last update) or
    /// what the host says is left.
    #[inline]
    pub fn eligible_among<'a>(&self, healthy: &'a [u32]) -> Cow<'a, [u32]> {
        if self.all_of(healthy) { Cow::Borrowed(healthy) } else { Cow::Owned(self.eligible_positions()) }
    }

    /// The positions of the eligible endpoints, asked of the host.
    pub fn eligible_positions(&self) -> Vec<u32> {
        if self.eligible == 0 {
            return Vec::new();
        }
        (0u32..)
            .zip(endpoints::column(endpoints::Measure::Eligible))
            .filter(|(_, eligible)| *eligible != 0)
            .map(|(position, _)| position)
            .collect()
    }
}

/// The shared counter for a narrowed choice: one of 1 to 15 by the set of endpoints, while 0 counts
/// the whole set. Were it one for all, two sets that take turns would each see every second number.
pub(crate) fn counter_of(set: &[u32]) -> u32 {
    let print = set.iter().fold(0u64, |print, &position| crate::hash::mix(print ^ u64::from(position)));
    1 + (print % (u64::from(counters::SLOTS) - 1)) as u32
}

/// Where [`balancer!`](crate::balancer!) keeps its plugin. Not for direct use.
#[doc(hidden)]
pub struct BalancerInstance<B>(RefCell<Option<B>>);

impl<B: Balancer> BalancerInstance<B> {
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    pub fn configure(&self, settings: &str) -> Result<(), String> {
        let balancer = B::configure(settings)?;
        self.0.replace(Some(balancer));
        Ok(())
    }

    pub fn update(&self, endpoints: &EndpointSet) {
        if let Some(balancer) = self.0.borrow_mut().as_mut() {
            balancer.update(endpoints);
        }
    }

    // `try_borrow_mut`: the panic of the other one would cost code on the hot path, and calls into
    // an instance never overlap.
    #[inline]
    pub fn pick(&self, context: &PickContext) -> u32 {
        match self.0.try_borrow_mut().as_deref_mut() {
            Ok(Some(balancer)) => balancer.pick(context).unwrap_or(NONE),
            _ => NONE,
        }
    }
}

impl<B> BalancerInstance<B> {
    /// For what it exports beside its kind; none before `configure`.
    pub fn with<R>(&self, call: impl FnOnce(&mut B) -> R) -> Option<R> {
        self.0.try_borrow_mut().ok()?.as_mut().map(call)
    }
}

impl<B: Balancer> Default for BalancerInstance<B> {
    fn default() -> Self {
        Self::new()
    }
}

/// Exports a type that implements [`Balancer`] from this component: one line at the top level of a
/// `cdylib` crate. On other targets than wasm32 it only checks the type.
///
/// What else the type is for the proxy follows, by the names of the traits:
/// `balancer!(Oracle, Refreshing, Replies);`.
#[macro_export]
macro_rules! balancer {
    ($balancer:ty $(, $extra:ident)* $(,)?) => {
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            mod export {
                use super::*;
                use $crate::bindings::balancer::exports::jackfield::plugin::balancing;

                ::std::thread_local! {
                    static INSTANCE: $crate::BalancerInstance<$balancer> =
                        const { $crate::BalancerInstance::new() };
                }

                struct Component;

                impl balancing::Guest for Component {
                    fn configure(settings: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                        INSTANCE.with(|instance| instance.configure(&settings))
                    }

                    fn update(endpoints: $crate::EndpointSet) {
                        INSTANCE.with(|instance| instance.update(&endpoints));
                    }

                    fn pick(context: $crate::PickContext) -> u32 {
                        INSTANCE.with(|instance| instance.pick(&context))
                    }
                }

                $crate::bindings::balancer::export_balancer!(Component);
                $($crate::export_extra!($extra, INSTANCE, Component);)*
            }

            // Natively: the plugin is a plain library, its type is checked and counts as used.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn() -> $crate::BalancerInstance<$balancer> = $crate::BalancerInstance::new;
            $(
                #[cfg(not(target_arch = "wasm32"))]
                const _: fn() = || {
                    fn implements<T: $crate::$extra>() {}
                    implements::<$balancer>();
                };
            )*
        };
    };
}
