//! Which curves share a frame.

use super::{Curve, Role};

/// As many models as one panel shows, each in a colour of its own.
pub(super) const DISTINCT: usize = 6;

/// A frame of a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Panel {
    pub(super) title: String,
    /// Numbers of the figure's curves: some of its models, and all of its baselines.
    pub(super) curves: Vec<usize>,
}

/// A frame for each name that models give their panel, and more where one would hold more models than it has colours.
/// There is one at least.
pub(super) fn panels(curves: &[Curve]) -> Vec<Panel> {
    let mut groups: Vec<Panel> = Vec::new();
    for (i, curve) in curves.iter().enumerate().filter(|(_, curve)| curve.role == Role::Model) {
        match groups.iter_mut().find(|group| group.title == curve.panel) {
            Some(group) => group.curves.push(i),
            None => groups.push(Panel { title: curve.panel.clone(), curves: vec![i] }),
        }
    }
    if groups.is_empty() {
        groups.push(Panel::default());
    }
    let mut panels: Vec<Panel> = groups.iter().flat_map(split).collect();
    let baselines = || (0..curves.len()).filter(|&i| curves[i].role == Role::Baseline);
    for panel in &mut panels {
        panel.curves.extend(baselines());
        panel.curves.sort_unstable();
    }
    panels
}

/// As few panels as hold the models of `group`, as many in each as in the next or one more.
fn split(group: &Panel) -> Vec<Panel> {
    let models = group.curves.len();
    let parts = models.div_ceil(DISTINCT).max(1);
    let bounds = |part: usize| models * part / parts;
    (0..parts)
        .map(|part| Panel {
            title: group.title.clone(),
            curves: group.curves[bounds(part)..bounds(part + 1)].to_vec(),
        })
        .collect()
}

/// A model's place among those it is coloured beside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Place {
    /// How many models stand before it in its panel.
    pub(super) in_panel: usize,
    /// How many stand before it among the models of its panel's name, and how many these are.
    pub(super) in_order: (usize, usize),
}

/// The place of every curve; that of a baseline says nothing.
pub(super) fn places(curves: &[Curve], panels: &[Panel]) -> Vec<Place> {
    let models = |panel: &Panel| {
        panel.curves.iter().copied().filter(|&i| curves[i].role == Role::Model).collect::<Vec<_>>()
    };
    let mut places = vec![Place::default(); curves.len()];
    for panel in panels {
        let named_alike: Vec<usize> =
            panels.iter().filter(|other| other.title == panel.title).flat_map(models).collect();
        for (in_panel, i) in models(panel).into_iter().enumerate() {
            let before = named_alike.iter().position(|&other| other == i).unwrap_or(0);
            places[i] = Place { in_panel, in_order: (before, named_alike.len()) };
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::Band;
    use super::*;

    fn model(panel: &str) -> Curve {
        Curve { panel: panel.into(), ..Curve::model("m", vec![], Band::default()) }
    }

    fn baseline() -> Curve {
        Curve::baseline("b", vec![], Band::default())
    }

    #[test]
    fn up_to_six_models_share_a_frame() {
        let mut curves = vec![model(""); 6];
        curves.push(baseline());
        assert_eq!(panels(&curves), [Panel { title: String::new(), curves: (0..7).collect() }]);
        assert_eq!(panels(&[]), [Panel::default()]);
    }

    #[test]
    fn more_are_spread_evenly_and_each_panel_has_the_baselines() {
        let mut curves = vec![model(""); 14];
        curves.insert(0, baseline());
        let panels = panels(&curves);
        assert_eq!(panels.iter().map(|panel| panel.curves.len() - 1).collect::<Vec<_>>(), [4, 5, 5]);
        assert!(panels.iter().all(|panel| panel.curves[0] == 0));
        let places = places(&curves, &panels);
        assert_eq!(places[5], Place { in_panel: 0, in_order: (4, 14) });
    }

    #[test]
    fn models_of_one_panel_name_stand_together() {
        let curves = ["n = 5", "n = 10", "n = 5"].map(model);
        let panels = panels(&curves);
        assert_eq!(panels[0], Panel { title: "n = 5".into(), curves: vec![0, 2] });
        assert_eq!(places(&curves, &panels)[2], Place { in_panel: 1, in_order: (1, 2) });
    }
}
