//! Places on the earth.

use super::*;

/// Where GEOSEARCH looks. Lengths are metres.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum GeoArea {
    /// Within so many metres.
    Radius(f64),
    /// Within a box so many metres wide and high.
    Box(f64, f64),
}

impl ToArgs for GeoArea {
    fn to_args(&self, args: &mut Args<'_>) {
        match self {
            GeoArea::Radius(metres) => args.add(("BYRADIUS", metres, "m")),
            GeoArea::Box(width, height) => args.add(("BYBOX", width, height, "m")),
        }
    }
}

options! {
    /// How many members GEOSEARCH tells, in which order, and what of them.
    GeoOptions
}

impl GeoOptions {
    /// The nearest first.
    pub fn asc(self) -> Self {
        self.with(["ASC"])
    }

    /// The farthest first.
    pub fn desc(self) -> Self {
        self.with(["DESC"])
    }

    /// At most so many.
    pub fn count(self, members: u64) -> Self {
        self.with(["COUNT", &members.to_string()])
    }

    /// Each with its distance, in metres.
    pub fn with_distance(self) -> Self {
        self.with(["WITHDIST"])
    }

    /// Each with its longitude and latitude.
    pub fn with_coordinates(self) -> Self {
        self.with(["WITHCOORD"])
    }
}

impl Redis {
    /// Adds places: `(longitude, latitude, member)` in degrees, or many of them. Reply: integer, how many are new.
    pub fn geoadd(&self, key: impl ToArg, places: impl ToArgs) -> Command {
        self.command("GEOADD", (key, places))
    }

    /// How far it is from one member to another. Reply: string, metres; or nil.
    pub fn geodist(&self, key: impl ToArg, from: impl ToArg, to: impl ToArg) -> Command {
        self.command("GEODIST", (key, from, to, "m"))
    }

    /// Where members are. Reply: array of longitude and latitude, or nil.
    pub fn geopos(&self, key: impl ToArg, members: impl ToArgs) -> Command {
        self.command("GEOPOS", (key, members))
    }

    /// Members around a longitude and a latitude. Reply: array.
    pub fn geosearch(&self, key: impl ToArg, around: (f64, f64), area: GeoArea, options: GeoOptions) -> Command {
        self.command("GEOSEARCH", (key, "FROMLONLAT", around, area, options))
    }

    /// Members around another one. Reply: array.
    pub fn geosearch_member(&self, key: impl ToArg, member: impl ToArg, area: GeoArea, options: GeoOptions) -> Command {
        self.command("GEOSEARCH", (key, "FROMMEMBER", member, area, options))
    }
}
