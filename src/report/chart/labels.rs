//! Where words go: beside what they name, and not upon each other.

/// A place for words: the middle of their base line, and the angle they are turned by, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) angle: f64,
}

/// The room that words take, as circles along their middle: turned words are as easy as straight ones.
type Circles = Vec<(f64, f64)>;

/// Finds places within a frame, and remembers what is taken.
#[derive(Clone, Debug)]
pub(super) struct Placer {
    /// Left, top, right, bottom.
    frame: [f64; 4],
    height: f64,
    taken: Circles,
    lines: Vec<Vec<(f64, f64)>>,
}

/// Places along a line that are tried, and how far words are kept from the line that they name.
const TRIES: usize = 48;
const OFF: f64 = 0.72;

impl Placer {
    /// A frame with lines in it, for words of a height.
    pub(super) fn new(frame: [f64; 4], height: f64, lines: Vec<Vec<(f64, f64)>>) -> Self {
        Self { frame, height, taken: Circles::new(), lines }
    }

    /// Keeps words away from a place.
    pub(super) fn take(&mut self, x: f64, y: f64) {
        self.taken.push((x, y));
    }

    /// A place along one of the lines, above it rather than below, as near as can be to a share of its length.
    pub(super) fn along(&mut self, line: usize, width: f64, prefer: f64) -> Option<Place> {
        let path = self.lines.get(line)?.clone();
        let length = length(&path);
        if length < width {
            return None;
        }
        let mut best: Option<(f64, Place, Circles)> = None;
        for step in 0..=TRIES {
            let middle = width / 2.0 + (length - width) * step as f64 / TRIES as f64;
            for side in [-1.0, 1.0] {
                let Some((place, circles)) = self.beside_line(&path, middle, width, side) else { continue };
                let away = (middle / length - prefer).abs();
                let below = if side > 0.0 { 0.6 } else { 0.0 };
                let cost = away + below + self.crossed(&circles, line) as f64 * 2.0;
                if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                    best = Some((cost, place, circles));
                }
            }
        }
        self.settle(best)
    }

    /// A place around a point at a distance.
    pub(super) fn around(&mut self, (x, y): (f64, f64), distance: f64, width: f64) -> Option<Place> {
        let (aside, above) = (distance + width / 2.0, distance + self.height / 2.0);
        let places = [
            (aside, 0.0),
            (0.0, -above),
            (-aside, 0.0),
            (0.0, above),
            (aside * 0.9, -above),
            (aside * 0.9, above),
            (-aside * 0.9, -above),
            (-aside * 0.9, above),
            (0.0, -above * 2.0),
            (0.0, above * 2.0),
        ];
        let mut best: Option<(f64, Place, Circles)> = None;
        for (rank, (dx, dy)) in places.into_iter().enumerate() {
            let (cx, cy) = (x + dx, y + dy);
            let circles = self.circles((cx, cy), (1.0, 0.0), width);
            if !self.is_free(&circles) {
                continue;
            }
            let cost = rank as f64 * 0.1 + self.crossed(&circles, usize::MAX) as f64;
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, Place { x: cx, y: cy + self.height * 0.32, angle: 0.0 }, circles));
            }
        }
        self.settle(best)
    }

    fn settle(&mut self, best: Option<(f64, Place, Circles)>) -> Option<Place> {
        let (_, place, circles) = best?;
        self.taken.extend(circles);
        Some(place)
    }

    fn beside_line(&self, path: &[(f64, f64)], middle: f64, width: f64, side: f64) -> Option<(Place, Circles)> {
        let (start, end) = (at(path, middle - width / 2.0)?, at(path, middle + width / 2.0)?);
        let centre = at(path, middle)?;
        let (dx, dy) = (end.0 - start.0, end.1 - start.1);
        let chord = dx.hypot(dy);
        // Words are straight: where the line bends, they would leave it.
        let bend = ((start.0 + end.0) / 2.0 - centre.0).hypot((start.1 + end.1) / 2.0 - centre.1);
        if chord < width * 0.97 || bend > self.height * 0.25 || dx <= 0.0 {
            return None;
        }
        let (ux, uy) = (dx / chord, dy / chord);
        let off = side * self.height * OFF;
        let (cx, cy) = (centre.0 - uy * off, centre.1 + ux * off);
        let circles = self.circles((cx, cy), (ux, uy), width);
        if !self.is_free(&circles) {
            return None;
        }
        // From the middle of the words down to their base line.
        let drop = self.height * 0.32;
        let place = Place { x: cx - uy * drop, y: cy + ux * drop, angle: uy.atan2(ux).to_degrees() };
        Some((place, circles))
    }

    fn circles(&self, (x, y): (f64, f64), (ux, uy): (f64, f64), width: f64) -> Circles {
        let count = (width / self.height).ceil().max(1.0);
        let reach = (width - self.height).max(0.0) / 2.0;
        let steps = 0..=count as usize;
        steps
            .map(|step| {
                let along = reach * (2.0 * step as f64 / count - 1.0);
                (x + ux * along, y + uy * along)
            })
            .collect()
    }

    fn is_free(&self, circles: &Circles) -> bool {
        let [left, top, right, bottom] = self.frame;
        let half = self.height / 2.0;
        let inside =
            |&(x, y): &(f64, f64)| x - half >= left && x + half <= right && y - half >= top && y + half <= bottom;
        let apart =
            |&(x, y): &(f64, f64)| self.taken.iter().all(|&(tx, ty)| (x - tx).hypot(y - ty) >= self.height * 0.95);
        circles.iter().all(inside) && circles.iter().all(apart)
    }

    /// How many of the circles a line goes through, other than the one that is named.
    fn crossed(&self, circles: &Circles, own: usize) -> usize {
        let others =
            || self.lines.iter().enumerate().filter(|(index, _)| *index != own).flat_map(|(_, line)| line.windows(2));
        circles.iter().filter(|&&circle| others().any(|pair| distance(circle, pair) < self.height * 0.45)).count()
    }
}

fn length(path: &[(f64, f64)]) -> f64 {
    path.windows(2).map(step).sum()
}

fn step(pair: &[(f64, f64)]) -> f64 {
    (pair[1].0 - pair[0].0).hypot(pair[1].1 - pair[0].1)
}

/// The place at a length along a path.
fn at(path: &[(f64, f64)], mut along: f64) -> Option<(f64, f64)> {
    for pair in path.windows(2) {
        let step = step(pair);
        if along <= step && step > 0.0 {
            let share = along / step;
            return Some((pair[0].0 + (pair[1].0 - pair[0].0) * share, pair[0].1 + (pair[1].1 - pair[0].1) * share));
        }
        along -= step;
    }
    // Rounding may leave a little of the last step.
    path.last().copied().filter(|_| along < 0.01)
}

/// The distance of a point from a straight piece.
fn distance((x, y): (f64, f64), pair: &[(f64, f64)]) -> f64 {
    let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
    let (dx, dy) = (bx - ax, by - ay);
    let square = dx * dx + dy * dy;
    let share = if square > 0.0 { (((x - ax) * dx + (y - ay) * dy) / square).clamp(0.0, 1.0) } else { 0.0 };
    (x - ax - dx * share).hypot(y - ay - dy * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: [f64; 4] = [0.0, 0.0, 400.0, 300.0];

    #[test]
    fn words_lie_along_their_line_and_above_it() {
        let mut placer = Placer::new(FRAME, 12.0, vec![vec![(0.0, 300.0), (300.0, 0.0)]]);
        let place = placer.along(0, 80.0, 0.5).unwrap();
        assert!((place.angle + 45.0).abs() < 1e-9 && place.x + place.y < 300.0, "{place:?}");
    }

    #[test]
    fn a_line_that_is_too_short_has_no_place() {
        let mut placer = Placer::new(FRAME, 12.0, vec![vec![(10.0, 100.0), (50.0, 100.0)]]);
        assert_eq!(placer.along(0, 80.0, 0.5), None);
        assert_eq!(placer.along(7, 10.0, 0.5), None);
    }

    proptest! {
        #[test]
        fn words_never_lie_upon_each_other(
            points in prop::collection::vec((0.0..400.0_f64, 0.0..300.0_f64, 10.0..90.0_f64), 1..30),
        ) {
            let mut placer = Placer::new(FRAME, 12.0, Vec::new());
            let places = points.iter().filter_map(|&(x, y, width)| Some((placer.around((x, y), 5.0, width)?, width)));
            let boxes: Vec<(f64, f64, f64)> = places.map(|(place, width)| (place.x, place.y, width)).collect();
            for (index, a) in boxes.iter().enumerate() {
                prop_assert!(a.0 - a.2 / 2.0 >= -6.0 && a.0 + a.2 / 2.0 <= 406.0);
                for b in &boxes[..index] {
                    let apart = (a.0 - b.0).abs() >= (a.2 + b.2) / 2.0 - 12.0 || (a.1 - b.1).abs() >= 6.0;
                    prop_assert!(apart, "{a:?} {b:?}");
                }
            }
        }
    }
}
