// Package page proves that the pages of internal/web are what people can use: in a real
// browser, by keyboard alone, on a phone, in the dark, while steps are under way, and
// without their script.
//
// The fleet is a made-up one, served from this process, so no node is booted, and a
// test needs nothing but Chromium. They run where the tests of nodes do, with
// RECONCILER_E2E=1.
//
//	RECONCILER_E2E=1 go test -count=1 ./internal/e2e/page
//	RECONCILER_E2E=1 go test -count=1 -run Pictures ./internal/e2e/page -update
package page
