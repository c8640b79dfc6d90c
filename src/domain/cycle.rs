//! Cycles in the entity hierarchy. Cedar refuses them, since `in` is not defined for them.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::{Entity, EntityUid};

/// A cycle of entities: each is a child of the next, the last one of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<EntityUid>);

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The most entities that are named; a cycle may have a million.
        const SHOWN: usize = 8;
        let (Some(first), Self(all)) = (self.0.first(), self) else {
            return f.write_str("the parents form a cycle");
        };
        write!(f, "entity `{first}` would be its own ancestor: `{first}`")?;
        for uid in all.iter().skip(1).take(SHOWN) {
            write!(f, " in `{uid}`")?;
        }
        if all.len() > SHOWN + 1 {
            write!(f, " in {} others", all.len() - SHOWN - 1)?;
        }
        write!(f, " in `{first}`")
    }
}

/// A cycle among these entities; `None` if there is none.
#[must_use]
pub fn find_cycle(entities: &[Entity]) -> Option<Cycle> {
    let parents = entities.iter().map(|entity| (&entity.uid, entity.parents.as_slice())).collect();
    find_cycle_of(&parents, entities.iter().map(|entity| &entity.uid))
}

/// A cycle through one of `members`, given the parents of the entities that have some.
pub(crate) fn find_cycle_of<'a>(
    parents: &HashMap<&'a EntityUid, &'a [EntityUid]>,
    members: impl IntoIterator<Item = &'a EntityUid>,
) -> Option<Cycle> {
    let mut safe = HashSet::new();
    members.into_iter().find_map(|member| circle(parents, member, &mut safe))
}

/// A cycle through `start`. If no cycle at all is reachable from it, every reached entity is added to `safe`.
fn circle<'a>(
    parents: &HashMap<&'a EntityUid, &'a [EntityUid]>,
    start: &'a EntityUid,
    safe: &mut HashSet<&'a EntityUid>,
) -> Option<Cycle> {
    let above = |uid: &EntityUid| parents.get(uid).copied().unwrap_or_default().iter();
    // Every entity that was reached, and whether it is on the current path.
    let mut seen = HashMap::from([(start, true)]);
    // The path from `start`; each entity with its parents that are still to be visited.
    let mut path = vec![(start, above(start))];
    let mut is_free_of_circles = true;
    while let Some((uid, rest)) = path.last_mut() {
        match rest.next() {
            Some(next) if next == start => return Some(Cycle(path.iter().map(|(uid, _)| (*uid).clone()).collect())),
            Some(next) if safe.contains(next) => {}
            Some(next) => match seen.get(next) {
                None => {
                    seen.insert(next, true);
                    path.push((next, above(next)));
                }
                Some(is_on_path) => is_free_of_circles &= !is_on_path,
            },
            None => {
                seen.insert(uid, false);
                path.pop();
            }
        }
    }
    if is_free_of_circles {
        safe.extend(seen.into_keys());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entities(edges: &str) -> Vec<Entity> {
        let uid = |id: &str| EntityUid::new("Group", id);
        let entity = |(id, parents): (&str, &str)| Entity {
            uid: uid(id),
            attrs: super::super::Object::NOTHING,
            parents: parents.split(',').filter(|id| !id.is_empty()).map(uid).collect(),
            tags: super::super::Object::NOTHING,
        };
        edges.split_whitespace().filter_map(|edge| edge.split_once('>')).map(entity).collect()
    }

    #[test]
    fn a_circle_is_found_wherever_it_begins_and_nothing_else_is_one() {
        let rows = [
            ("", None),
            ("a> b>a c>a,b d>c,b,a,gone", None),
            ("a>a", Some("a")),
            ("a>b b>a", Some("a b")),
            ("z>a a>b b>c c>d d>b", Some("b c d")),
            ("a>x,y x>t y>t t>", None),
            ("a>x,y x>t y>t t>y", Some("y t")),
            ("p>q q>p a>b b>c c>a", Some("p q")),
        ];
        for (edges, expected) in rows {
            let found = find_cycle(&entities(edges));
            let ids = found.map(|Cycle(all)| all.iter().map(|uid| uid.id.to_string()).collect::<Vec<_>>().join(" "));
            assert_eq!(ids.as_deref(), expected, "{edges}");
        }
    }

    #[test]
    fn only_circles_through_members_count() {
        let all = entities("a>p p>q q>p b>c c>b");
        let parents: HashMap<_, _> = all.iter().map(|entity| (&entity.uid, entity.parents.as_slice())).collect();
        let found = |id| find_cycle_of(&parents, [&EntityUid::new("Group", id)]).is_some();
        assert_eq!(["a", "p", "q", "b", "gone"].map(found), [false, true, true, true, false]);
    }

    #[test]
    fn a_long_chain_is_walked_once() {
        let chain = (0..50_000).map(|nth| format!("{nth}>{} ", nth + 1)).collect::<Vec<_>>().concat();
        assert_eq!(find_cycle(&entities(&chain)), None);
        let circle = format!("{chain} 50000>0");
        assert_eq!(find_cycle(&entities(&circle)).map(|Cycle(all)| all.len()), Some(50_001));
    }
}
