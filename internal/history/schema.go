package history

// The file, in words. A place is a cluster (its node is empty) or a node of one.
// An event is one line of the history, and stands at the place of its cluster;
// touched leads from every place to the events that touched it, newest last, so
// that a question about a few of many places reads only what it shows. Steps and
// plans are what an event is in full. Last is what was written down last of each
// cluster, and what a turn is compared with.
//
// Times are Unix milliseconds, so that they sort and no zone is in them.

// migrations lead from one schema to the next; PRAGMA user_version counts those
// that were done. What stands here was released: a change is a new entry.
func migrations() []string {
	return []string{`
CREATE TABLE place (
	id      INTEGER PRIMARY KEY,
	fleet   TEXT NOT NULL,
	cluster TEXT NOT NULL,
	node    TEXT NOT NULL,
	UNIQUE (fleet, cluster, node)
) STRICT;

CREATE TABLE event (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	at        INTEGER NOT NULL,
	place     INTEGER NOT NULL REFERENCES place (id),
	kind      TEXT NOT NULL,
	revision  TEXT NOT NULL,
	outcome   TEXT NOT NULL,
	detail    TEXT NOT NULL
) STRICT;
CREATE INDEX event_at ON event (at);

CREATE TABLE touched (
	place INTEGER NOT NULL,
	at    INTEGER NOT NULL,
	event INTEGER NOT NULL,
	PRIMARY KEY (place, at, event)
) STRICT, WITHOUT ROWID;

CREATE TABLE step (
	op       TEXT PRIMARY KEY,
	event    INTEGER NOT NULL,
	step     TEXT NOT NULL,
	node     TEXT NOT NULL,
	action   TEXT NOT NULL,
	effect   TEXT NOT NULL,
	cause    TEXT NOT NULL,
	why      TEXT NOT NULL,
	changes  TEXT NOT NULL,
	outcome  TEXT NOT NULL,
	evidence TEXT NOT NULL,
	started  INTEGER NOT NULL,
	ended    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX step_event ON step (event);
CREATE INDEX step_step ON step (step, ended);

CREATE TABLE plan (
	event       INTEGER PRIMARY KEY,
	fingerprint TEXT NOT NULL,
	zipped      BLOB NOT NULL
) STRICT;
CREATE INDEX plan_fingerprint ON plan (fingerprint);

CREATE TABLE last (
	cluster TEXT NOT NULL,
	what    TEXT NOT NULL,
	value   TEXT NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (cluster, what)
) STRICT, WITHOUT ROWID;

CREATE TABLE episode (
	cluster   TEXT NOT NULL,
	id        TEXT NOT NULL,
	kind      TEXT NOT NULL,
	severity  TEXT NOT NULL,
	path      TEXT NOT NULL,
	nodes     TEXT NOT NULL,
	opened    INTEGER NOT NULL,
	confirmed INTEGER,
	closed    INTEGER,
	PRIMARY KEY (cluster, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX episode_closed ON episode (closed);
`}
}
