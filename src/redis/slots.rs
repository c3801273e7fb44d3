//! Which node of a cluster has which slot, as its nodes say. Whom to ask, and when, is the client's business.

use std::fmt;

use super::Value;
use crate::protocols::redis::SLOTS;

/// A map from slots to nodes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Slots {
    nodes: Vec<Node>,
    shards: Vec<Shard>,
    /// For each slot the place of its shard.
    slots: Box<[u16]>,
}

/// A server of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    /// A name or an address in lower case, an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Nodes with the same slots, by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shard {
    primary: u16,
    replicas: Vec<u16>,
}

/// Why a map of slots cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotsError {
    /// It is not what the commands answer; what is wrong with it.
    Shape(&'static str),
    /// There are more nodes than [`MOST_NODES`].
    TooMany,
}

/// More nodes than this are refused: four times the 1,000 that the Redis cluster specification recommends at most.
pub(crate) const MOST_NODES: usize = 4096;

/// No shard has the slot.
const NOBODY: u16 = u16::MAX;

impl fmt::Display for SlotsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotsError::Shape(what) => write!(f, "this is no map of a cluster: {what}"),
            SlotsError::TooMany => write!(f, "the cluster has more than {MOST_NODES} nodes"),
        }
    }
}

impl std::error::Error for SlotsError {}

impl Default for Slots {
    fn default() -> Self {
        Self { nodes: Vec::new(), shards: Vec::new(), slots: vec![NOBODY; SLOTS.into()].into() }
    }
}

impl Slots {
    /// Reads the reply of CLUSTER SLOTS or CLUSTER SHARDS, in either version of RESP. `asked` is the node that said it,
    /// for where it does not know its own name; `tls` says which of its ports is meant where there are two.
    pub(crate) fn read(reply: &Value, asked: &Node, tls: bool) -> Result<Self, SlotsError> {
        let shards = reply.as_slice().ok_or(SlotsError::Shape("no array"))?;
        // Slots are in one range each.
        let mut left = usize::from(SLOTS);
        let mut slots = Self::default();
        // Places of nodes whose name was seen: nothing here is slower for many.
        let mut known = std::collections::HashMap::new();
        let mut place = |slots: &mut Self, node: Node| match known.get(&node) {
            Some(at) => Ok(*at),
            None => {
                let at = slots.add(node.clone())?;
                known.insert(node, at);
                Ok(at)
            }
        };
        for shard in shards {
            let (primary, replicas, ranges) =
                if shard.at("nodes").is_some() { by_shards(shard, asked, tls)? } else { by_slots(shard, asked)? };
            left = left.checked_sub(ranges.len()).ok_or(SlotsError::Shape("more ranges than there are slots"))?;
            let replicas = replicas.into_iter().map(|node| place(&mut slots, node)).collect::<Result<_, _>>()?;
            // A shard without slots, or without anybody who answers for them, decides nothing.
            let Some(primary) = primary else { continue };
            let primary = place(&mut slots, primary)?;
            let shard = slots.shard(Shard { primary, replicas })?;
            for (from, to) in ranges {
                slots.slots[from.into()..=to.into()].fill(shard);
            }
        }
        Ok(slots)
    }

    /// Who has the slot, as far as is known.
    pub(crate) fn node(&self, slot: u16) -> Option<&Node> {
        self.nodes.get(usize::from(self.of(slot)?.primary))
    }

    /// Those who have slots, each once and in the order of their slots.
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &Node> {
        let mut seen = vec![false; self.nodes.len()];
        self.shards.iter().filter_map(move |shard| {
            let at = usize::from(shard.primary);
            let seen = seen.get_mut(at)?;
            (!std::mem::replace(seen, true)).then(|| self.nodes.get(at))?
        })
    }

    /// Who has copies of it.
    #[cfg(test)]
    pub(crate) fn replicas(&self, slot: u16) -> impl Iterator<Item = &Node> {
        let replicas = self.of(slot).map_or(&[][..], |shard| &shard.replicas);
        replicas.iter().filter_map(|at| self.nodes.get(usize::from(*at)))
    }

    /// All nodes, each once.
    #[cfg(test)]
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node said that this one has the slot now; where it named no host, that is its own. Linear in the nodes; an
    /// error once there are too many, and then the whole map is to be read again.
    pub(crate) fn moved(&mut self, slot: u16, host: &str, port: u16) -> Result<(), SlotsError> {
        if slot >= SLOTS {
            return Err(SlotsError::Shape("a slot that there is not"));
        }
        let node = Node::new(host, port);
        let primary = match self.nodes.iter().position(|known| *known == node) {
            Some(at) => at as u16,
            None => self.add(node)?,
        };
        let shard = match self.shards.iter().position(|shard| shard.primary == primary) {
            Some(at) => at as u16,
            None => self.shard(Shard { primary, replicas: Vec::new() })?,
        };
        self.slots[usize::from(slot)] = shard;
        Ok(())
    }

    fn of(&self, slot: u16) -> Option<&Shard> {
        self.shards.get(usize::from(*self.slots.get(usize::from(slot))?))
    }

    fn add(&mut self, node: Node) -> Result<u16, SlotsError> {
        if self.nodes.len() >= MOST_NODES {
            return Err(SlotsError::TooMany);
        }
        self.nodes.push(node);
        Ok((self.nodes.len() - 1) as u16)
    }

    fn shard(&mut self, shard: Shard) -> Result<u16, SlotsError> {
        // CLUSTER SLOTS names a shard once for each of its ranges, and mostly in a row.
        if self.shards.last() == Some(&shard) {
            return Ok((self.shards.len() - 1) as u16);
        }
        // No more than there are slots, so that their places fit.
        if self.shards.len() >= SLOTS.into() {
            return Err(SlotsError::TooMany);
        }
        self.shards.push(shard);
        Ok((self.shards.len() - 1) as u16)
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("nodes", &self.nodes).field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl Node {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_ascii_lowercase(), port }
    }

    /// A server may be at a host that another server names so: as long as a name may be (RFC 1035 §2.3.4), and nothing
    /// in it that would end a line or a word where it is told.
    pub(crate) fn may_be_at(host: &str) -> bool {
        !host.is_empty() && host.len() <= 255 && !host.chars().any(|c| c.is_control() || c.is_whitespace())
    }

    /// The host as a node says it; what is no name means the one that was asked.
    fn said(host: Option<&Value>, port: u16, asked: &Node) -> Result<Self, SlotsError> {
        match host.filter(|host| !host.is_null()).map(|host| host.as_str()) {
            None | Some(Some("" | "?")) => Ok(Self::new(&asked.host, port)),
            Some(Some(host)) if Self::may_be_at(host) => Ok(Self::new(host, port)),
            Some(_) => Err(SlotsError::Shape("a host that is no name")),
        }
    }
}

type Ranges = Vec<(u16, u16)>;

fn range(from: &Value, to: &Value) -> Result<(u16, u16), SlotsError> {
    let slot = |value: &Value| value.as_i64().and_then(|slot| u16::try_from(slot).ok()).filter(|slot| *slot < SLOTS);
    match (slot(from), slot(to)) {
        (Some(from), Some(to)) if from <= to => Ok((from, to)),
        _ => Err(SlotsError::Shape("slots that there are not")),
    }
}

fn port(value: Option<&Value>) -> Result<u16, SlotsError> {
    let port = value.and_then(Value::as_i64).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    port.ok_or(SlotsError::Shape("a node without a port"))
}

/// From, to, the primary, and its replicas, each as host, port, id, and what else there is.
fn by_slots(shard: &Value, asked: &Node) -> Result<(Option<Node>, Vec<Node>, Ranges), SlotsError> {
    let Some([from, to, nodes @ ..]) = shard.as_slice() else {
        return Err(SlotsError::Shape("a range without an end"));
    };
    let range = range(from, to)?;
    let node = |node: &Value| match node.as_slice() {
        Some([host, number, ..]) => Node::said(Some(host), port(Some(number))?, asked),
        _ => Err(SlotsError::Shape("a node without a host")),
    };
    let mut nodes = nodes.iter().map(node);
    let primary = nodes.next().transpose()?.ok_or(SlotsError::Shape("a range without a node"))?;
    Ok((Some(primary), nodes.collect::<Result<_, _>>()?, vec![range]))
}

/// A map with `slots`, a flat list of ranges, and `nodes`, each a map.
fn by_shards(shard: &Value, asked: &Node, tls: bool) -> Result<(Option<Node>, Vec<Node>, Ranges), SlotsError> {
    let list = |name: &str| shard.at(name).and_then(Value::as_slice);
    let numbers = list("slots").ok_or(SlotsError::Shape("a shard without slots"))?;
    let nodes = list("nodes").ok_or(SlotsError::Shape("a shard without nodes"))?;
    let pairs = numbers.chunks(2).map(|pair| match pair {
        [from, to] => range(from, to),
        _ => Err(SlotsError::Shape("a range without an end")),
    });
    let ranges = pairs.collect::<Result<_, _>>()?;
    let (mut primary, mut replicas) = (None, Vec::new());
    for node in nodes {
        let health = node.at("health").and_then(Value::as_str);
        let is_primary = node.at("role").and_then(Value::as_str) == Some("master");
        // Nobody asks a node that is down or not ready; that has the slots nevertheless.
        if !is_primary && health.is_some_and(|health| health != "online") {
            continue;
        }
        let number =
            if tls { node.at("tls-port").or(node.at("port")) } else { node.at("port").or(node.at("tls-port")) };
        let host = node.at("endpoint").filter(|host| !host.is_null()).or(node.at("ip"));
        let node = Node::said(host, port(number)?, asked)?;
        if is_primary && primary.is_none() {
            primary = Some(node);
        } else {
            replicas.push(node);
        }
    }
    Ok((primary, replicas, ranges))
}
