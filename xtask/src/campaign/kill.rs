//! `kill -9` under load: the process ends between any two instructions, the disk keeps all writes.

use crate::campaign::Plan;
use crate::campaign::Size;
use crate::campaign::Tally;
use crate::campaign::acknowledged::Acknowledged;
use crate::campaign::check;
use crate::campaign::round::CUTS_PER_HOME;
use crate::campaign::round::cut_short;
use crate::campaign::worker;
use crate::shell::Outcome;

pub(crate) fn run(plan: Plan) -> Outcome<Tally> {
    let kills = if plan.size == Size::Ci { 100 } else { 2_000 };
    let base = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut tally = Tally::default();
    let mut home = base.path().join("home");
    let mut known = Acknowledged::default();
    for round in plan.from..kills {
        if round % CUTS_PER_HOME == 0 || round == plan.from {
            _ = std::fs::remove_dir_all(&home);
            home = base.path().join(format!("home-{round}"));
            known = Acknowledged::default();
            worker::init(&home)?;
        }
        let (acknowledged, mut losses) = cut_short(&home, round, &mut known, |child| {
            child.kill().map_err(|error| error.to_string())
        })?;
        losses.extend(check::check(&home, &known)?);
        tally.add(&format!("kill {round}"), acknowledged, losses);
    }
    Ok(tally)
}
