//! Which pane stands where. Pure arithmetic on the size of the terminal; nothing is refused, panes are given up:
//! first the gauges and logs, then the details, then frames, at last everything but one line.

use super::panes::PaneId;
use ratatui::layout::Rect;

/// Below this width or height, only the tiny list is shown.
pub const TINY: (u16, u16) = (40, 10);
/// From this width on, queue and details stand side by side.
const WIDE: u16 = 100;
/// From this height on, there is a second row of panes.
const TALL: u16 = 30;

/// Where things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// One or two lines at the top.
    pub header: Rect,
    /// Lines that exist only while something is held back.
    pub banners: Rect,
    /// The panes that are seen.
    pub panes: Vec<(PaneId, Rect)>,
    /// The last line.
    pub footer: Rect,
    /// Whether panes have frames.
    pub framed: bool,
    /// Whether there is only room for a list of a few lines.
    pub tiny: bool,
}

/// What the layout depends on.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The terminal.
    pub size: (u16, u16),
    /// Banner lines wanted.
    pub banners: u16,
    /// The pane with the focus.
    pub focus: PaneId,
    /// Whether it alone is wanted.
    pub zoomed: bool,
    /// Whether there are hosts to show.
    pub hosts: bool,
}

impl Layout {
    /// The layout for a wish.
    #[must_use]
    pub fn of(wish: Wish) -> Self {
        let (width, height) = wish.size;
        if width < TINY.0 || height < TINY.1 {
            return Self { tiny: true, header: Rect::new(0, 0, width, height), ..Self::default() };
        }
        let header = Rect::new(0, 0, width, if width < WIDE && height >= 18 { 2 } else { 1 });
        let banners = Rect::new(0, header.bottom(), width, wish.banners.min(if height >= 20 { 3 } else { 1 }));
        let footer = Rect::new(0, height - 1, width, 1);
        let body = Rect::new(0, banners.bottom(), width, footer.y.saturating_sub(banners.bottom()));
        let framed = width >= 60 && height >= 16;
        Self { header, banners, panes: arrange(wish, body), footer, framed, tiny: false }
    }

    /// Where a pane stands, if it is seen.
    #[must_use]
    pub fn pane(&self, id: PaneId) -> Option<Rect> {
        self.panes.iter().find(|(p, _)| *p == id).map(|(_, r)| *r)
    }

    /// The part of a pane's place that is inside its frame.
    #[must_use]
    pub fn inside(&self, area: Rect) -> Rect {
        if self.framed {
            Rect::new(
                area.x.saturating_add(1),
                area.y.saturating_add(1),
                area.width.saturating_sub(2),
                area.height.saturating_sub(2),
            )
        } else {
            Rect::new(area.x, area.y.saturating_add(1), area.width, area.height.saturating_sub(1))
        }
    }
}

fn arrange(wish: Wish, body: Rect) -> Vec<(PaneId, Rect)> {
    let (width, height) = wish.size;
    let upper = matches!(wish.focus, PaneId::Queue | PaneId::Details);
    let alone = vec![(wish.focus, body)];
    // These are looked at on their own: they need the width, and nothing beside them says more.
    let zoomed = wish.zoomed || matches!(wish.focus, PaneId::Schedules | PaneId::Alerts);
    match (zoomed, width >= WIDE, height >= TALL) {
        (true, _, _) | (false, false, false) => alone,
        (false, true, true) => {
            let bottom = (body.height / 4).clamp(8, 14);
            // By the height of the screen alone: nothing moves when a host closes.
            let wanted = wish.hosts || wish.focus == PaneId::Hosts;
            let hosts = if wanted { (body.height * 22 / 100).clamp(5, 12) } else { 0 };
            let top = Rect { height: body.height - bottom - hosts, ..body };
            let low = Rect { y: top.bottom(), height: bottom + hosts, ..body };
            let (left, system) = split(low, low.width * 63 / 100);
            let mut panes = side_by_side(top);
            if wanted {
                panes.push((PaneId::Hosts, Rect { height: hosts, ..left }));
            }
            let logs = Rect { y: left.y + hosts, height: bottom, ..left };
            panes.extend([(PaneId::Logs, logs), (PaneId::System, system)]);
            panes
        }
        (false, true, false) if upper => side_by_side(body),
        (false, false, true) if upper => {
            let queue = Rect { height: body.height * 55 / 100, ..body };
            let details = Rect { y: queue.bottom(), height: body.height - queue.height, ..body };
            vec![(PaneId::Queue, queue), (PaneId::Details, details)]
        }
        _ => alone,
    }
}

fn side_by_side(area: Rect) -> Vec<(PaneId, Rect)> {
    let (queue, details) = split(area, area.width * 56 / 100);
    vec![(PaneId::Queue, queue), (PaneId::Details, details)]
}

fn split(area: Rect, left: u16) -> (Rect, Rect) {
    (Rect { width: left, ..area }, Rect { x: area.x + left, width: area.width - left, ..area })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(width: u16, height: u16, focus: PaneId) -> Layout {
        Layout::of(Wish { size: (width, height), banners: 2, focus, zoomed: false, hosts: false })
    }

    #[test]
    fn panes_are_given_up_as_room_goes() {
        let seen = |w, h, f| of(w, h, f).panes.iter().map(|(p, _)| *p).collect::<Vec<_>>();
        use PaneId::{Details, Hosts, Logs, Queue, System};
        assert_eq!(seen(120, 36, Queue), [Queue, Details, Logs, System]);
        assert_eq!(seen(120, 24, Queue), [Queue, Details]);
        assert_eq!(seen(120, 24, Logs), [Logs]);
        assert_eq!(seen(80, 40, Details), [Queue, Details]);
        assert_eq!(seen(80, 24, Queue), [Queue]);
        assert_eq!(seen(120, 36, Hosts), [Queue, Details, Hosts, Logs, System]);
        assert_eq!(seen(80, 40, Hosts), [Hosts]);
        assert_eq!(seen(120, 36, PaneId::Schedules), [PaneId::Schedules]);
        assert!(of(39, 24, Queue).tiny && of(80, 9, Queue).tiny && of(0, 0, Queue).tiny);
    }

    #[test]
    fn nothing_overlaps_or_leaves_the_screen() {
        for w in 0..200 {
            for h in 0..60 {
                for hosts in [false, true] {
                    let focus = PaneId::Queue;
                    let l = Layout::of(Wish { size: (w, h), banners: 3, focus, zoomed: false, hosts });
                    let mut all: Vec<Rect> = l.panes.iter().map(|(_, r)| *r).collect();
                    all.extend([l.header, l.banners, l.footer]);
                    for (i, a) in all.iter().enumerate() {
                        assert!(a.right() <= w && a.bottom() <= h, "{w}x{h}: {a:?}");
                        assert!(all[i + 1..].iter().all(|b| !a.intersects(*b)), "{w}x{h}: {a:?}");
                    }
                }
            }
        }
    }
}
