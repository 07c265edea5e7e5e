package page

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/internal/web/webtest"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

func sick() *web.Board {
	b := webtest.Board(webtest.Sick()...)
	webtest.Under(b, webtest.Upgrading("prod-eu"))
	return b
}

// TestAPersonFindsTheirWay clicks from the overview to everything else.
func TestAPersonFindsTheirWay(t *testing.T) {
	p := open(t, sick(), web.Access{})
	click := func(what string, words ...string) {
		t.Helper()
		p.do(chromedp.Click(what), chromedp.WaitReady("#part"))
		p.saysSoon(words[0])
		p.says(words...)
	}
	p.visit("/")
	p.says("7 clusters, 21 nodes", "1 needs a person now", "prod-ap A PERSON IS NEEDED NOW", "prod-us-2", "not seen: tcp")
	click(`//a[text()="prod-us"]`, "Lift: bring the other voters back first", "retry on prod-us-3", "vault.binary tampered", "hold for prod-us-2 by ada")
	click(`#more`, "Of the cluster prod-us.")
	click(`//nav/a[text()="History"]`, "W-120", "Older")
	click(`#older`, "N-70", "Newest")
	click(`#older`, "N-20")
	if eval[bool](p, `!!document.getElementById("older")`) {
		t.Error("there is a page behind the last one")
	}
	click(`#newest`, "W-120")
	click(`//a[text()="W-120"]`, "restart prod-eu-2", "done on the node, but api", "vault 1.21.0 → 1.21.4")
	click(`//a[text()="prod-eu"]`, "Under way", "prod-eu-2 restart under way", "Order")
	click(`//nav/a[text()="Drift"]`, "Drift in acme: 2 open", "config.log_level changed", "3 times within a week", "until the migration is over")
	click(`//nav/a[text()="reconciler"]`, "7 clusters")
}

// TestThePageFollowsWhatIsUnderWay: what changes is there without a reload, and what a
// person was at stays as it was.
func TestThePageFollowsWhatIsUnderWay(t *testing.T) {
	b, c := sick(), webtest.Upgrading("prod-eu")
	p := open(t, b, web.Access{})
	p.sized(1000, 500)
	p.visit("/clusters/prod-eu")
	p.saysSoon("Live.")
	eval[bool](p, `window.loadedOnce = true`)
	p.do(chromedp.Focus(`//a[text()="W-120"]`))
	eval[bool](p, `document.querySelector("#nodes").scrollIntoView(), true`)
	before := eval[float64](p, `document.querySelector("#nodes").getBoundingClientRect().top`)
	event := func(kind apply.EventKind, step diff.Step, outcome diff.Outcome, detail string) {
		b.Event(c.Name, apply.Event{Kind: kind, Step: step, Outcome: outcome, Detail: detail, At: webtest.Noon().Add(41 * time.Second)})
	}
	restart, unseal := c.Plan.Waves[1][0], c.Plan.Waves[2][0]
	event(apply.EventWaiting, restart, "", "sealed, 1 of 3 shares")
	p.saysSoon("prod-eu-2 restart under way since 12:00:14 sealed, 1 of 3 shares")
	event(apply.EventEnded, restart, diff.OutcomeDone, "")
	p.saysSoon("prod-eu-2 restart done")
	for _, n := range []string{"prod-eu-1", "prod-eu-2", "prod-eu-3"} { // what stands above grows
		unseal.Node = n
		event(apply.EventBegan, unseal, "", "")
	}
	p.saysSoon("prod-eu-3 unseal under way")
	if at := p.focus(); at != "a W-120" {
		t.Errorf("the focus went to %s", at)
	}
	if after := eval[float64](p, `document.querySelector("#nodes").getBoundingClientRect().top`); after < before-2 || after > before+2 {
		t.Errorf("what was read at %v is at %v now", before, after)
	}
	for _, n := range []string{"prod-eu-1", "prod-eu-2", "prod-eu-3"} {
		unseal.Node = n
		event(apply.EventEnded, unseal, diff.OutcomeFailed, "no shares")
	}
	b.Seen(webtest.Well("prod-eu", 3), webtest.Noon().Add(time.Minute))
	p.saysSoon("Nothing is to be done.")
	p.says("prod-eu-3 unseal failed", "no shares", "Seen 2026-11-23 12:01:00")
	if !eval[bool](p, `window.loadedOnce === true`) {
		t.Error("the page was loaded anew")
	}

	p.visit("/")
	p.saysSoon("Live.")
	p.do(chromedp.Click(`#c-prod-ap > summary .state`), chromedp.Focus("#q"), chromedp.SendKeys("#q", "prod"))
	p.saysSoon("Found: 4 of 7 clusters")
	b.Seen(webtest.Drifted("prod-ca"), webtest.Noon())
	p.until(`document.querySelector("#c-prod-ca.warn")`)
	if eval[bool](p, `document.querySelector("#c-prod-ap").open`) {
		t.Error("what a person closed is open again")
	}
	if at := p.focus(); at != "input q" || eval[string](p, `document.querySelector("#q").value`) != "prod" || eval[string](p, `location.search`) != "?q=prod" {
		t.Errorf("the filter is lost: %s", at)
	}
	eval[bool](p, `getSelection().selectAllChildren(document.querySelector(".totals")), true`)
	eval[bool](p, `(was => { window.looked = 0; window.getSelection = () => (window.looked++, was.call(window)); return true })(window.getSelection)`)
	b.Seen(webtest.Well("prod-ca", 5), webtest.Noon())
	p.until("window.looked > 1") // it would have been replaced, and was put off
	if !eval[bool](p, `!getSelection().isCollapsed && !!document.querySelector("#c-prod-ca.warn")`) {
		t.Error("what was about to be copied is gone")
	}
	eval[bool](p, `getSelection().removeAllRanges(), true`)
	p.until(`document.querySelector("#c-prod-ca.good")`)
}

// TestAPersonNeedsNoMouse reaches everything by keys, and sees where he is.
func TestAPersonNeedsNoMouse(t *testing.T) {
	p := open(t, sick(), web.Access{})
	p.visit("/")
	p.keys(tab)
	if at := p.focus(); at != "a Skip to the content" || !p.ring() {
		t.Errorf("the first is %s, and seen: %v", at, p.ring())
	}
	p.keys(enter)
	if at := p.focus(); at != "main main" {
		t.Errorf("the skip link leads to %s", at)
	}
	p.keys(tab)
	if at := p.focus(); at != "input q" {
		t.Errorf("behind it comes %s", at)
	}
	p.visit("/")
	var order []string
	for range 40 {
		p.keys(tab)
		at := p.focus()
		if at == "body" || strings.HasPrefix(at, "body ") {
			break
		}
		if !p.ring() {
			t.Errorf("the focus is not seen at %s", at)
		}
		order = append(order, at)
	}
	all := strings.Join(order, ", ")
	for _, want := range []string{"a Skip to the content, a reconciler, a Fleet, a Drift, a History, input q, button Filter, summary ‼prod-ap", "a prod-ap, summary ✕dev", "a stage-us, a reload"} {
		if !strings.Contains(all, want) {
			t.Errorf("the order is %s, and not %s", all, want)
		}
	}
	p.do(chromedp.Focus(`#c-prod-ap > summary`))
	p.keys(" ")
	p.until(`!document.querySelector("#c-prod-ap").open`)
	p.keys(enter)
	p.until(`document.querySelector("#c-prod-ap").open`)
	p.keys(tab, enter)
	p.saysSoon("0 of 3 voters serve")
	p.visit("/")
	p.do(chromedp.Focus("#q"))
	p.keys("sealed none", enter)
	p.saysSoon("Found: 1 of 7 clusters, 2 nodes")
}

// TestAPhoneShowsItAll: nothing reaches beyond a window of 360 pixels, and no page is
// read by scrolling sideways.
func TestAPhoneShowsItAll(t *testing.T) {
	p := open(t, sick(), web.Access{})
	p.sized(360, 740)
	for _, path := range paths() {
		p.visit(path)
		if wide := eval[float64](p, "document.scrollingElement.scrollWidth"); wide > 360 {
			t.Errorf("%s is %v pixels wide: %q", path, wide, eval[[]string](p, outside))
		}
		if beyond := eval[[]string](p, outside); len(beyond) > 0 {
			t.Errorf("%s: beyond the window are %q", path, beyond)
		}
	}
	p.visit("/")
	p.says("prod-us-3", "Cert days", "6")
}

func paths() []string {
	return []string{"/", "/?q=prod", "/clusters/prod-us", "/clusters/prod-eu", "/clusters/prod-ap", "/clusters/dev", "/drift", "/history", "/history/W-120", "/history/P-119"}
}

// TestItCanBeReadInTheDark: both schemes, and enough contrast in each.
func TestItCanBeReadInTheDark(t *testing.T) {
	p := open(t, sick(), web.Access{})
	ground := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		for _, path := range paths() {
			p.visit(path)
			if faint := eval[[]string](p, tooFaint); len(faint) > 0 {
				t.Errorf("%s, %s: hardly to be read are %q", scheme, path, faint)
			}
		}
		ground[scheme] = eval[string](p, "getComputedStyle(document.body).backgroundColor")
	}
	if ground["light"] != "rgb(255, 255, 255)" || ground["dark"] != "rgb(20, 24, 29)" {
		t.Errorf("%v", ground)
	}
}

// TestItWorksWithoutItsScript: it is reloaded by hand then, and says so.
func TestItWorksWithoutItsScript(t *testing.T) {
	p := open(t, sick(), web.Access{})
	set(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	p.visit("/")
	p.says("This page does not update by itself: reload", "As it was at 2026-11-23 12:00:00 UTC")
	p.do(chromedp.SendKeys("#q", "prod-us-3"), chromedp.Click("#filter button"), chromedp.WaitReady("#all"))
	p.says("Found: 1 of 7 clusters, 1 node.")
	p.do(chromedp.Click("#all"), chromedp.WaitNotPresent("#all"))
	p.says("7 clusters, 21 nodes")
}

// TestALoginIsAsked as a browser does it: the cookie is no script's affair.
func TestALoginIsAsked(t *testing.T) {
	const token = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	p := open(t, sick(), web.Access{Token: secret.Of([]byte(token)), Key: web.NewKey()})
	p.sized(360, 740)
	p.visit("/drift")
	p.says("http.token_file")
	if at := p.focus(); at != "input token" {
		t.Errorf("the focus is at %s", at)
	}
	p.keys("guessed", enter)
	p.saysSoon("That is not the token.")
	p.expects("401")
	if wide := eval[float64](p, "document.scrollingElement.scrollWidth"); wide > 360 {
		t.Errorf("the login is %v pixels wide", wide)
	}
	p.do(chromedp.Focus("#token"))
	p.keys(token, enter)
	p.saysSoon("Drift in acme")
	if cookie := eval[string](p, "document.cookie"); cookie != "" {
		t.Errorf("a script sees the cookie %s", cookie)
	}
	p.visit("/")
	p.saysSoon("Live.")
	p.do(chromedp.Click(`//button[text()="Log out"]`))
	p.saysSoon("http.token_file")
	p.visit("/")
	p.says("http.token_file")
}

// TestAThousandNodesAreUsable: typed for and found, with what is well closed.
func TestAThousandNodesAreUsable(t *testing.T) {
	p := open(t, webtest.Board(webtest.Many(200, 5)...), web.Access{})
	p.visit("/")
	p.says("200 clusters, 1000 nodes", "10 to look at", "190 in sync")
	if open := eval[float64](p, `document.querySelectorAll("details[open]").length`); open != 10 {
		t.Errorf("%v clusters are open", open)
	}
	p.do(chromedp.SendKeys("#q", "prod-123-4"))
	p.saysSoon("Found: 1 of 200 clusters, 1 node.")
}
