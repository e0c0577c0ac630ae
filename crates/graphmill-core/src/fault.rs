//! Named points at which a test kills, stops or fails the process. Without the feature `fault-points` they are nothing.
//!
//! The environment variable `FAILPOINTS` of the `fail` crate arms them: `FAILPOINTS="publish.after_intent=return(kill)"`; `2*off->…` skips the
//! first two passes, `pause` and `sleep(ms)` stop there, `panic` panics, `return(kill)` ends the process by SIGKILL at once.

/// Passes a named point. See the module.
#[macro_export]
macro_rules! fault_point {
    ($name:expr) => {
        $crate::fault::hit($name)
    };
}

/// Arms the points that `FAILPOINTS` names. Call once at the start of the process.
pub fn setup() {
    #[cfg(feature = "fault-points")]
    std::mem::forget(fail::FailScenario::setup());
}

/// What [`fault_point!`] calls.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// What [`fault_point!`] calls.
#[cfg(feature = "fault-points")]
pub fn hit(name: &str) {
    fail::fail_point!(name, |action| {
        if action.as_deref() == Some("kill") {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park(); // the signal is on its way; nothing more may happen
            }
        }
    });
}
