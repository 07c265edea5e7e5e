package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed drift.html
var driftPage string

// DriftHTML writes the report as one file that needs nothing else: to keep, or to send.
func DriftHTML(w io.Writer, d DriftDocument) error {
	page := TellDrift(d)
	t, err := template.New("drift").Parse(driftPage)
	if err != nil {
		return fmt.Errorf("read the page of a drift report: %w", err)
	}
	page.At = page.At.In(time.UTC)
	return t.Execute(w, page)
}
