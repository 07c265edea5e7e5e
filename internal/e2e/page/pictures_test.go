package page

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/vaultfleet/reconciler/internal/web"
)

var update = flag.Bool("update", false, "take the pictures of docs anew")

// mostBytes is how large a picture of the docs may be.
const mostBytes = 200 << 10

// TestPicturesOfTheDocs are small enough, and with -update taken anew.
func TestPicturesOfTheDocs(t *testing.T) {
	p := open(t, sick(), web.Access{})
	for file, shot := range map[string]struct {
		path          string
		width, height int64
		scheme        string
	}{
		"page-overview.png": {"/", 1100, 900, "light"},
		"page-cluster.png":  {"/clusters/prod-eu", 1100, 900, "light"},
		"page-drift.png":    {"/drift", 1100, 700, "dark"},
	} {
		name := filepath.Join("..", "..", "..", "docs", file)
		if *update {
			p.sized(shot.width, shot.height)
			p.scheme(shot.scheme)
			p.visit(shot.path)
			p.saysSoon("Live.")
			picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > mostBytes {
			t.Errorf("%s has %d bytes", file, info.Size())
		}
	}
}
