//! Random conditions, by type, so that nearly all of them pass strict validation.

use crate::choices::Choices;
use crate::paths::Path;
use crate::schema::{Env, Ty, city, ids, parents, set, tags};
use crate::world::{NUMBERS, TAGS, TEXTS, Uid, literals};

const PATTERNS: [&str; 6] = ["*", "a*", "*-a", "x\\*y", "*\\\"*", "secret/*.t*t"];

/// An expression, and the tests that must stand before it.
struct Ex {
    text: String,
    guards: Vec<String>,
}

impl Ex {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), guards: Vec::new() }
    }

    /// One expression made of others.
    fn of<const N: usize>(parts: [Self; N], write: impl FnOnce([String; N]) -> String) -> Self {
        let mut guards = Vec::new();
        let texts = parts.map(|part| {
            guards.extend(part.guards);
            part.text
        });
        Self { text: write(texts), guards }
    }

    fn test(self) -> String {
        let mut parts = self.guards;
        parts.push(self.text);
        format!("({})", parts.join(" && "))
    }
}

/// Writes conditions for one environment.
pub struct Grammar<'a, 'b> {
    choices: &'a mut Choices<'b>,
    paths: &'a [Path],
    /// Paths from entities that a condition names.
    named: &'a [Path],
    env: &'a Env,
}

pub fn uid((kind, id): Uid) -> String {
    format!("{kind}::{id:?}")
}

impl<'a, 'b> Grammar<'a, 'b> {
    pub fn new(choices: &'a mut Choices<'b>, paths: &'a [Path], named: &'a [Path], env: &'a Env) -> Self {
        Self { choices, paths, named, env }
    }

    /// A boolean, at most `depth` operators above a simple test.
    pub fn condition(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.simple().test();
        }
        let shape = self.choices.below(7);
        let a = self.condition(depth - 1);
        let mut another = || self.condition(depth - 1);
        match shape {
            0 | 1 => a,
            2 => format!("({a} && {})", another()),
            3 | 4 => format!("({a} || {})", another()),
            5 => format!("!{a}"),
            _ => format!("(if {a} then {} else {})", another(), another()),
        }
    }

    fn simple(&mut self) -> Ex {
        match self.choices.below(13) {
            0 => self.path(|path| path.ty == Ty::Bool).unwrap_or_else(|| Ex::plain("true")),
            1 | 2 => self.equal(),
            3 | 4 => self.compare(),
            5 | 6 => self.member(),
            7 => self.has(),
            8 => {
                let pattern = self.choices.pick(&PATTERNS);
                Ex::of([self.value(&Ty::Str, 1)], |[text]| format!("{text} like \"{pattern}\""))
            }
            9 => self.is(),
            10 => self.sets(),
            11 => self.extension(),
            _ => self.tagged(|_| true).map_or_else(
                || Ex::plain("context.approved"),
                |(owner, key)| Ex::of([owner, key], |[owner, key]| format!("{owner}.hasTag({key})")),
            ),
        }
    }

    fn equal(&mut self) -> Ex {
        let ty = self.any_type();
        let sign = if self.choices.chance(30) { "!=" } else { "==" };
        Ex::of([self.value(&ty, 1), self.value(&ty, 1)], |[left, right]| format!("{left} {sign} {right}"))
    }

    fn compare(&mut self) -> Ex {
        let ty = self.choices.pick(&[Ty::Long, Ty::Long, Ty::Ext("datetime"), Ty::Ext("duration")]);
        let sign = self.choices.pick(&["<", "<=", ">", ">="]);
        Ex::of([self.value(&ty, 2), self.value(&ty, 2)], |[left, right]| format!("{left} {sign} {right}"))
    }

    /// `x in y`, `x is T in y`; y an entity or a set.
    fn member(&mut self) -> Ex {
        if self.choices.chance(15) {
            let group = self.choices.pick(&["Action::\"readers\"", "[Action::\"writers\", Action::\"view\"]"]);
            return Ex::plain(format!("action in {group}"));
        }
        let Some((member, kind)) = self.entity(|kind| !parents(kind).is_empty()) else {
            return Ex::plain("principal in resource");
        };
        let mut groups = parents(kind).to_vec();
        groups.push(kind);
        let group = self.choices.pick(&groups);
        let ty = if self.choices.chance(35) { set(Ty::Entity(group)) } else { Ty::Entity(group) };
        let is = if self.choices.chance(20) { format!(" is {kind}") } else { String::new() };
        Ex::of([member, self.value(&ty, 1)], |[member, group]| format!("{member}{is} in {group}"))
    }

    fn has(&mut self) -> Ex {
        let Some(path) = self.find(|path| !path.fields().is_empty()) else {
            return Ex::plain("context has risk");
        };
        let guards = path.guards(self.choices);
        let (name, ty, _) = self.choices.pick(&path.fields());
        let deeper = match ty {
            Ty::Entity("User") => self.choices.pick(&["", ".manager", ".home.zip", ".manager.manager.host"]),
            Ty::Entity("Folder") => self.choices.pick(&["", ".meta.n", ".owner.home.deep.unit"]),
            _ => "",
        };
        Ex { text: format!("{} has {name}{deeper}", path.text), guards }
    }

    fn is(&mut self) -> Ex {
        let other = self.choices.pick(&["User", "Document", "Org::Unit", "Group"]);
        match self.entity(|_| true) {
            Some((entity, kind)) => {
                let kind = if self.choices.chance(60) { kind } else { other };
                Ex::of([entity], |[entity]| format!("{entity} is {kind}"))
            }
            None => Ex::plain(format!("resource is {other}")),
        }
    }

    fn sets(&mut self) -> Ex {
        if self.choices.chance(10) {
            return Ex::plain("[[1, 2], [3]].contains([2, 1])");
        }
        let element = match self.choices.below(6) {
            0 => Ty::Long,
            1 => Ty::Str,
            2 => Ty::Ext("ip"),
            3 => Ty::Entity("Group"),
            4 => city(),
            _ => Ty::Entity("User"),
        };
        let ty = set(element.clone());
        let all = self.value(&ty, 1);
        match self.choices.below(4) {
            0 => Ex::of([all, self.value(&element, 1)], |[all, item]| format!("{all}.contains({item})")),
            1 => Ex::of([all, self.value(&ty, 1)], |[all, of]| format!("{all}.containsAll({of})")),
            2 => Ex::of([all, self.value(&ty, 1)], |[all, of]| format!("{all}.containsAny({of})")),
            _ => Ex::of([all], |[all]| format!("{all}.isEmpty()")),
        }
    }

    fn extension(&mut self) -> Ex {
        let (ty, methods): (Ty, &[&str]) = if self.choices.chance(50) {
            (Ty::Ext("ip"), &["isIpv4", "isIpv6", "isLoopback", "isMulticast", "isInRange"])
        } else {
            (Ty::Ext("decimal"), &["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"])
        };
        let method = self.choices.pick(methods);
        let value = self.value(&ty, 1);
        if method.ends_with("Range") || method.starts_with("less") || method.starts_with("greater") {
            let other = self.value(&ty, 1);
            return Ex::of([value, other], |[value, other]| format!("{value}.{method}({other})"));
        }
        Ex::of([value], |[value]| format!("{value}.{method}()"))
    }

    fn any_type(&mut self) -> Ty {
        let kind = self.choices.pick(&["User", "Colour", "Group", "Document", "Folder", "Org::Unit"]);
        match self.choices.below(9) {
            0 => Ty::Long,
            1 => Ty::Str,
            2 => Ty::Bool,
            3 => city(),
            4 => set(Ty::Long),
            5 => Ty::Ext(self.choices.pick(&["ip", "decimal", "datetime", "duration"])),
            6 => set(Ty::Entity("User")),
            _ => Ty::Entity(kind),
        }
    }

    /// A value of that type, with at most `depth` operators.
    fn value(&mut self, ty: &Ty, depth: usize) -> Ex {
        match self.choices.below(10) {
            0..5 => self.path(|path| path.ty == *ty).unwrap_or_else(|| self.literal(ty, depth)),
            5..7 => self.literal(ty, depth),
            _ if depth == 0 => self.literal(ty, 0),
            7 => {
                let test = self.condition(0);
                Ex::of([self.value(ty, depth - 1), self.value(ty, depth - 1)], |[then, otherwise]| {
                    format!("(if {test} then {then} else {otherwise})")
                })
            }
            8 => Ex::of([self.value(ty, depth - 1), self.literal(&Ty::Long, 0)], |[value, other]| {
                format!("{{ x: {value}, \"y z\": {other} }}.x")
            }),
            _ => self.computed(ty, depth - 1),
        }
    }

    fn computed(&mut self, ty: &Ty, depth: usize) -> Ex {
        if self.choices.chance(40)
            && let Some((owner, key)) = self.tagged(|tag| tag == ty)
        {
            let test = format!("{}.hasTag({})", owner.text, key.text);
            let mut tag = Ex::of([owner, key], |[owner, key]| format!("{owner}.getTag({key})"));
            tag.guards.push(test);
            return tag;
        }
        let (datetime, duration) = (Ty::Ext("datetime"), Ty::Ext("duration"));
        match ty {
            Ty::Long => match self.choices.below(6) {
                0 => Ex::of([self.value(ty, depth)], |[value]| format!("(-({value}))")),
                1 | 2 => {
                    let unit = self.choices.pick(&["Milliseconds", "Seconds", "Minutes", "Hours", "Days"]);
                    Ex::of([self.value(&duration, depth)], |[value]| format!("{value}.to{unit}()"))
                }
                _ => {
                    let sign = self.choices.pick(&["+", "-", "*"]);
                    Ex::of([self.value(ty, depth), self.value(ty, depth)], |[a, b]| format!("({a} {sign} {b})"))
                }
            },
            Ty::Ext("datetime") if self.choices.chance(50) => {
                Ex::of([self.value(ty, depth)], |[value]| format!("{value}.toDate()"))
            }
            Ty::Ext("datetime") => Ex::of([self.value(ty, depth), self.value(&duration, depth)], |[from, by]| {
                format!("{from}.offset({by})")
            }),
            Ty::Ext("duration") if self.choices.chance(50) => {
                Ex::of([self.value(&datetime, depth)], |[value]| format!("{value}.toTime()"))
            }
            Ty::Ext("duration") => {
                Ex::of([self.value(&datetime, depth), self.value(&datetime, depth)], |[to, from]| {
                    format!("{to}.durationSince({from})")
                })
            }
            _ => self.literal(ty, depth),
        }
    }

    fn literal(&mut self, ty: &Ty, depth: usize) -> Ex {
        match ty {
            Ty::Bool if depth > 0 => Ex::plain(self.condition(0)),
            Ty::Bool => Ex::plain(self.choices.pick(&["true", "false"])),
            Ty::Long => Ex::plain(self.choices.pick(&NUMBERS).to_string()),
            Ty::Str => Ex::plain(format!("{:?}", self.choices.pick(&TEXTS))),
            Ty::Entity(kind) => Ex::plain(uid((kind, self.choices.pick(ids(kind))))),
            Ty::Ext(function) => Ex::plain(format!("{function}({:?})", self.choices.pick(literals(function)))),
            Ty::Set(element) => {
                let mut items = self.value(element, depth.saturating_sub(1));
                for _ in 0..self.choices.below(3) {
                    let item = self.value(element, depth.saturating_sub(1));
                    items = Ex::of([items, item], |[items, item]| format!("{items}, {item}"));
                }
                Ex::of([items], |[items]| format!("[{items}]"))
            }
            Ty::Record(_) => Ex::of([self.value(&Ty::Str, 0)], |[name]| format!("{{ city: {name} }}")),
        }
    }

    /// An entity that may have such tags, and a key.
    fn tagged(&mut self, fits: impl Fn(&Ty) -> bool) -> Option<(Ex, Ex)> {
        let (owner, _) = self.entity(|kind| tags(kind).is_some_and(|tag| fits(&tag)))?;
        let key = if self.choices.chance(30) {
            self.path(|path| path.ty == Ty::Str)
        } else {
            Some(Ex::plain(format!("{:?}", self.choices.pick(&TAGS))))
        };
        Some((owner, key?))
    }

    fn entity(&mut self, fits: impl Fn(&str) -> bool) -> Option<(Ex, &'static str)> {
        let path = self.find(|path| matches!(path.ty, Ty::Entity(kind) if fits(kind)))?;
        let Ty::Entity(kind) = path.ty else { return None };
        let guards = path.guards(self.choices);
        Some((Ex { text: path.text.clone(), guards }, kind))
    }

    fn path(&mut self, fits: impl Fn(&Path) -> bool) -> Option<Ex> {
        let path = self.find(fits)?;
        Some(Ex { text: path.text.clone(), guards: path.guards(self.choices) })
    }

    /// A path that fits; short ones as often as all the long ones together.
    fn find(&mut self, fits: impl Fn(&Path) -> bool) -> Option<&'a Path> {
        let paths = if self.choices.chance(20) { self.named } else { self.paths };
        let all: Vec<&Path> = paths.iter().filter(|path| fits(path)).collect();
        let short = all.iter().take_while(|path| path.text.matches('.').count() < 2).count();
        let among = if short > 0 && self.choices.chance(50) { &all[..short] } else { &all[..] };
        if among.is_empty() { None } else { Some(self.choices.pick(among)) }
    }

    /// What the principal, the action and the resource must be for the condition to be well typed.
    pub fn environment(&self) -> String {
        let Env { principal, action, resource } = self.env;
        format!("principal is {principal} && action == {action} && resource is {resource}")
    }
}
