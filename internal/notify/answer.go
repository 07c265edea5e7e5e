package notify

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
)

// judge is what an answer to a POST means: nil where it says yes. What the body of a
// refusal says is not looked at.
func judge(answer *http.Response) error {
	status := answer.StatusCode
	words := fmt.Errorf("it answers %d %s", status, http.StatusText(status))
	switch {
	case status/100 == 2:
		return nil
	case status/100 == 3:
		return redirected(answer)
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &outbound.BusyError{Status: status, After: outbound.RetryAfter(answer.Header.Get("Retry-After"), time.Now())}
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return &RefusedError{words}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: is its address, or its secret, still the right one?", words)
	}
	return words
}

// redirected says where to, as far as that gives nothing away. No redirect is
// followed: whoever is there would be given what is meant for another.
func redirected(answer *http.Response) error {
	to, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || to.Host == "" {
		return fmt.Errorf("it answers %d, which is no yes", answer.StatusCode)
	}
	return fmt.Errorf("it redirects to %s; give that address, if it is meant", shown(to.Scheme+"://"+to.Host))
}
