//! `resource-based`: endpoints share the work by the capacity that they report to have left.
//!
//! An endpoint's share is its weight times what is free of its busier resource,
//! `weight * (1 - max(cpu, memory))`; the choice is random in these proportions, so that between two
//! reports not everyone rushes to the one that was free. Reports come with the answers (ORCA load
//! headers) or are polled, and age out; an endpoint without a fresh one counts as average. When
//! nobody reports, or nobody has anything left, the weights alone decide.
//!
//! Settings: `cpu` (default true) and `memory` (default true): which of the two count.

use jackfield_plugin::endpoints::Measure;
use jackfield_plugin::{Balancer, EndpointSet, Lottery, NONE, PickContext, endpoints, random, settings};

/// All of a resource, in the unit of the reports.
const ALL: u32 = 10_000;

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    cpu: bool,
    memory: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cpu: true, memory: true }
    }
}

pub struct ResourceBased {
    settings: Settings,
    healthy: Vec<u32>,
    weights: Vec<u32>,
}

impl Balancer for ResourceBased {
    fn configure(settings: &str) -> Result<Self, String> {
        let settings: Settings = settings::parse(settings)?;
        if !settings.cpu && !settings.memory {
            return Err("\"cpu\" and \"memory\" are both false; one must count".to_owned());
        }
        Ok(Self { settings, healthy: Vec::new(), weights: Vec::new() })
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.healthy = endpoints.healthy();
        self.weights.clone_from(&endpoints.weights);
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        let eligible = context.eligible_among(&self.healthy);
        let spare = self.spare(&eligible);
        let weight = |endpoint| u64::from(at(&self.weights, endpoint).unwrap_or(1));
        let shares = eligible.iter().zip(&spare);
        let mut lottery = Lottery::new(shares.map(|(&endpoint, spare)| (endpoint, weight(endpoint) * spare)));
        if lottery.is_empty() {
            lottery = Lottery::new(eligible.iter().map(|&endpoint| (endpoint, weight(endpoint))));
        }
        lottery.draw(random::next())
    }
}

impl ResourceBased {
    /// What is free of each of these, in ten-thousandths; the average for those who do not say.
    fn spare(&self, set: &[u32]) -> Vec<u64> {
        let column = |counts, of| {
            if counts { endpoints::column(of) } else { Vec::new() }
        };
        let cpu = column(self.settings.cpu, Measure::Cpu);
        let memory = column(self.settings.memory, Measure::Memory);
        let used = |endpoint| at(&cpu, endpoint).max(at(&memory, endpoint));
        let spare = |endpoint| used(endpoint).map(|used| u64::from(ALL.saturating_sub(used)));
        let (sum, known) = set
            .iter()
            .filter_map(|&endpoint| spare(endpoint))
            .fold((0, 0), |(sum, known), spare| (sum + spare, known + 1));
        let average = u64::checked_div(sum, known).unwrap_or(ALL.into());
        set.iter().map(|&endpoint| spare(endpoint).unwrap_or(average)).collect()
    }
}

fn at(column: &[u32], endpoint: u32) -> Option<u32> {
    column.get(endpoint as usize).copied().filter(|&value| value != NONE)
}

jackfield_plugin::balancer!(ResourceBased);

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_plugin::mock::{self, Host};

    /// How 50,000 picks fall with these reports (CPU, memory) and weights 1, 1, 2.
    fn counts(settings: &str, reports: [(Option<u32>, Option<u32>); 3]) -> [u64; 3] {
        let mut host = Host::with_weights(&[1, 1, 2]);
        for (endpoint, (cpu, memory)) in host.endpoints.iter_mut().zip(reports) {
            (endpoint.cpu, endpoint.memory) = (cpu, memory);
        }
        host.install();
        let mut plugin = ResourceBased::configure(settings).unwrap();
        plugin.update(&mock::host(|host| host.endpoint_set()));
        let context = mock::host(|host| host.pick_context());
        let mut counts = [0; 3];
        for _ in 0..50_000 {
            counts[plugin.pick(&context).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_what_is_free_of_the_busier_resource() {
        let reports = [(Some(5000), Some(1000)), (Some(0), Some(7500)), (Some(9000), None)];
        mock::assert_proportions(&counts("{}", reports), &[5000, 2500, 2000]);
        let cpu_only = counts(r#"{"memory": false}"#, reports);
        mock::assert_proportions(&cpu_only, &[5000, 10_000, 2000]);
    }

    #[test]
    fn who_does_not_report_counts_as_average() {
        let reports = [(Some(2000), None), (None, Some(4000)), (None, None)];
        mock::assert_proportions(&counts("{}", reports), &[8000, 6000, 14_000]);
    }

    #[test]
    fn without_reports_or_without_anything_left_the_weights_decide() {
        mock::assert_proportions(&counts("{}", [(None, None); 3]), &[1, 1, 2]);
        mock::assert_proportions(&counts("{}", [(Some(12_000), None); 3]), &[1, 1, 2]);
    }

    #[test]
    fn settings_must_leave_something_to_count() {
        let refused = |settings| ResourceBased::configure(settings).err().unwrap();
        assert_eq!(
            refused(r#"{"cpu": false, "memory": false}"#),
            "\"cpu\" and \"memory\" are both false; one must count"
        );
        assert_eq!(refused(r#"{"mem": true}"#), "unknown setting \"mem\"; there are \"cpu\", \"memory\"");
    }

    /// The twin: a wheel with one sector for each endpoint, by the same random number.
    #[test]
    fn is_a_wheel_of_what_is_free() {
        let mut plugin = ResourceBased::configure("{}").unwrap();
        mock::walk(&mut plugin, 37, 100_000, |step| {
            let eligible = step.eligible();
            let of = |index: u32| &step.host.endpoints[index as usize];
            let free = |index| [of(index).cpu, of(index).memory].into_iter().flatten().max();
            let known: Vec<u32> = eligible.iter().filter_map(|&i| free(i)).map(|u| ALL - u).collect();
            let average = match known.len() {
                0 => ALL,
                n => known.iter().sum::<u32>() / n as u32,
            };
            let mut sectors: Vec<u32> =
                eligible.iter().map(|&i| of(i).weight * free(i).map_or(average, |used| ALL - used)).collect();
            if sectors.iter().all(|&sector| sector == 0) {
                sectors = eligible.iter().map(|&i| of(i).weight).collect();
            }
            let all: u32 = sectors.iter().sum();
            let share = (step.random.clone().next() >> 32) as f64 / 4_294_967_296.0;
            let mut point = share * f64::from(all);
            let hit = sectors.iter().position(|&sector| {
                point -= f64::from(sector);
                point < 0.0
            });
            // On a border between two sectors the plugin's whole tickets and the wheel may differ.
            if point.abs() > 1.0 && (point + f64::from(hit.map_or(0, |hit| sectors[hit]))) > 1.0 {
                assert_eq!(step.picked, hit.map(|hit| eligible[hit]));
            }
        });
    }
}
