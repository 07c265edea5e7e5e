package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// SchemaEpisode is of show with the ID of a drift.
const SchemaEpisode Schema = "reconciler/drift-episode"

// EpisodeDocument is what is remembered of one drift.
type EpisodeDocument struct {
	Schema        Schema       `json:"schema"`
	FormatVersion string       `json:"formatVersion"`
	Cluster       string       `json:"cluster"`
	Episode       diff.Episode `json:"episode"`
}

// NewEpisode is the document of one drift of a cluster.
func NewEpisode(cluster string, e diff.Episode) EpisodeDocument {
	return EpisodeDocument{Schema: SchemaEpisode, FormatVersion: formatVersion, Cluster: cluster, Episode: e}
}

// Episode writes what is remembered of one drift.
func Episode(w io.Writer, o Options, d EpisodeDocument, now time.Time) error {
	p := &page{w: w, o: o}
	e := d.Episode
	where := strings.Join(e.Nodes, " ")
	if where == "" {
		where = "(the cluster)"
	}
	p.wrapped(e.ID+"  ", bold, fmt.Sprintf("%s %s   %s %s: %s", d.Cluster, where, e.Path, e.Kind, e.Have))
	for i, at := range e.Opened {
		words := "came      "
		if i > 0 {
			words = "came back "
		}
		p.line("  %s %s", words, at.UTC().Format(time.RFC3339))
	}
	if !e.Sure.IsZero() {
		p.line("  confirmed  %s", e.Sure.UTC().Format(time.RFC3339))
	}
	last := e.Last()
	if e.Open() {
		p.line("  there      for %s", lasting(now.Sub(last)))
		p.wrapped("  do:        ", cyan, "reconciler drift --cluster "+d.Cluster+" says what becomes of it")
	} else {
		p.line("  gone       %s, after %s", e.Gone.UTC().Format(time.RFC3339), lasting(e.Gone.Sub(last)))
	}
	return p.err
}
