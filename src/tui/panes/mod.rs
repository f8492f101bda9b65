//! The panes: each draws its part of the state into a rectangle, and does nothing else. A new pane is a file here and
//! a line in [`PANES`].

pub mod alerts;
pub mod details;
pub mod hosts;
pub mod logs;
pub mod queue;
pub mod schedules;
pub mod system;

use super::app::App;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Which pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaneId {
    /// The job list.
    Queue,
    /// One job.
    Details,
    /// The logs.
    Logs,
    /// The hosts that jobs call.
    Hosts,
    /// Machine and tasks.
    System,
    /// The tasks with a schedule.
    Schedules,
    /// What is wrong, and who was told.
    Alerts,
}

impl PaneId {
    /// Every pane, in the order of Tab.
    pub const ALL: [Self; 7] =
        [Self::Queue, Self::Details, Self::Logs, Self::Hosts, Self::System, Self::Schedules, Self::Alerts];
}

/// What a frame says about its pane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Title {
    /// At the left.
    pub name: String,
    /// At the right.
    pub note: String,
}

/// A part of the screen.
pub trait Pane: Sync {
    /// Which one it is.
    fn id(&self) -> PaneId;
    /// What its frame says.
    fn title(&self, app: &App) -> Title;
    /// Draws its contents. Reads only.
    fn draw(&self, app: &App, area: Rect, buf: &mut Buffer);
}

/// Every pane.
pub static PANES: [&dyn Pane; 7] = [
    &queue::Queue,
    &details::Details,
    &logs::Logs,
    &hosts::Hosts,
    &system::System,
    &schedules::Schedules,
    &alerts::Alerts,
];

/// Leaves a column free on both sides.
#[must_use]
pub fn padded(area: Rect) -> Rect {
    if area.width < 30 {
        return area;
    }
    Rect { x: area.x + 1, width: area.width - 2, ..area }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pane_is_registered_once() {
        assert_eq!(PANES.map(|p| p.id()), PaneId::ALL);
    }
}
