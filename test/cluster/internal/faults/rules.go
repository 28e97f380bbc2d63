// Package faults is a proxy before the API server that misbehaves on request: the things that
// happen to a watch or a list in a bad week, at will and in a second.
package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"
)

// Duration is a time.Duration written as "250ms" or "5s".
type Duration time.Duration

// UnmarshalJSON reads what time.ParseDuration reads.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is a string such as \"250ms\": %w", err)
	}
	v, err := time.ParseDuration(s)
	if err == nil && v < 0 {
		err = fmt.Errorf("duration %s is negative", s)
	}
	*d = Duration(v)
	return err
}

// MarshalJSON writes what UnmarshalJSON reads.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Match says which requests a rule is about. What is left out matches everything.
type Match struct {
	Verbs     []string `json:"verbs,omitempty"`     // get list watch create update patch delete ...
	Group     *string  `json:"group,omitempty"`     // "" is the core group
	Resources []string `json:"resources,omitempty"` // httproutes, or httproutes/status
	Namespace string   `json:"namespace,omitempty"` //
	UserAgent string   `json:"userAgent,omitempty"` // a part of it
}

// How a cut answer ends.
const (
	Abort = "abort" // the stream is reset, or the connection closed, in the middle
	End   = "end"   // the answer ends in good order, as if it were complete
	Hang  = "hang"  // nothing follows, and nothing ends
)

// Cut ends an answer early: after so long, so many watch events, or so many bytes, whichever is
// first.
type Cut struct {
	After  Duration `json:"after,omitempty"`
	Events int      `json:"events,omitempty"`
	Bytes  *int     `json:"bytes,omitempty"`
	How    string   `json:"how,omitempty"` // abort, the default; end; hang
}

// Where a watch learns that its resource version is too old.
const (
	InStream = "event"  // 200, and an ERROR event with code 410: what the watch cache does
	AsStatus = "status" // 410 as the answer's status
)

// Rule is one fault and the requests that meet it.
type Rule struct {
	Match      Match    `json:"match"`
	Share      *float64 `json:"share,omitempty"`      // of the matching requests, by chance; all, when left out
	Skip       int      `json:"skip,omitempty"`       // so many matching requests are spared first
	Times      int      `json:"times,omitempty"`      // then the fault happens so often, and no more
	Delay      Duration `json:"delay,omitempty"`      // before the request goes on; may come with another fault
	Status     int      `json:"status,omitempty"`     // answer this: 429, 500, 503 ...
	RetryAfter int      `json:"retryAfter,omitempty"` // seconds, with Status
	Expired    string   `json:"expired,omitempty"`    // "event" or "status": 410 to a watch that resumes from a version
	Silence    bool     `json:"silence,omitempty"`    // the request is taken and never answered
	Cut        *Cut     `json:"cut,omitempty"`

	seen, hit int
}

// Set is everything the proxy is told: the whole state, replaced at once.
type Set struct {
	Silent bool    `json:"silent,omitempty"` // total: connections are accepted and nothing passes on any
	Rules  []*Rule `json:"rules,omitempty"`  // the first that applies counts
}

// Parse reads a Set and refuses what makes no sense, naming it.
func Parse(b []byte) (*Set, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	s := &Set{}
	if err := d.Decode(s); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one JSON value")
	}
	for i, r := range s.Rules {
		if r == nil {
			return nil, fmt.Errorf("rule %d: null", i)
		}
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i, err)
		}
	}
	return s, nil
}

func (r *Rule) check() error {
	faults := 0
	for _, on := range []bool{r.Status != 0, r.Expired != "", r.Silence, r.Cut != nil} {
		if on {
			faults++
		}
	}
	switch {
	case faults > 1:
		return errors.New("only one of status, expired, silence and cut")
	case faults == 0 && r.Delay == 0:
		return errors.New("no fault: give delay, status, expired, silence or cut")
	case r.Share != nil && (*r.Share <= 0 || *r.Share > 1):
		return errors.New("share is above 0 and at most 1")
	case r.Skip < 0 || r.Times < 0 || r.RetryAfter < 0:
		return errors.New("skip, times and retryAfter are not negative")
	case r.Status != 0 && (r.Status < 400 || r.Status > 599):
		return errors.New("status is between 400 and 599")
	case r.RetryAfter != 0 && r.Status == 0:
		return errors.New("retryAfter goes with status")
	case r.Expired != "" && r.Expired != InStream && r.Expired != AsStatus:
		return fmt.Errorf("expired is %q or %q", InStream, AsStatus)
	}
	c := r.Cut
	if c == nil {
		return nil
	}
	switch {
	case c.How == "":
		c.How = Abort
	case c.How != Abort && c.How != End && c.How != Hang:
		return fmt.Errorf("cut.how is %q, %q or %q", Abort, End, Hang)
	}
	if c.After == 0 && c.Events == 0 && c.Bytes == nil || c.Events < 0 || c.Bytes != nil && *c.Bytes < 0 {
		return errors.New("cut wants after, events or bytes, none negative")
	}
	return nil
}

func (m *Match) matches(i *request.RequestInfo, r *http.Request) bool {
	resource := i.Resource
	if i.Subresource != "" {
		resource += "/" + i.Subresource
	}
	return (len(m.Verbs) == 0 || slices.Contains(m.Verbs, i.Verb)) &&
		(m.Group == nil || *m.Group == i.APIGroup) &&
		(len(m.Resources) == 0 || slices.Contains(m.Resources, resource)) &&
		(m.Namespace == "" || m.Namespace == i.Namespace) &&
		strings.Contains(r.UserAgent(), m.UserAgent)
}

// resumes says whether a request is a watch from a resource version that it was told earlier.
func resumes(i *request.RequestInfo, r *http.Request) bool {
	v := r.URL.Query().Get("resourceVersion")
	return i.Verb == "watch" && v != "" && v != "0"
}

// state is the current Set, with its counts.
type state struct {
	mu  sync.Mutex
	set *Set
}

// choose finds the rule that a request meets, if any, and counts it.
func (s *state) choose(i *request.RequestInfo, r *http.Request) *Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rule := range s.set.Rules {
		if !rule.Match.matches(i, r) || rule.Expired != "" && !resumes(i, r) {
			continue
		}
		rule.seen++
		if rule.seen <= rule.Skip || rule.Times > 0 && rule.hit >= rule.Times ||
			rule.Share != nil && rand.Float64() >= *rule.Share {
			continue
		}
		rule.hit++
		return rule
	}
	return nil
}

// Counted is a rule with how many requests it was about, and how many of them met the fault.
type Counted struct {
	*Rule
	Seen int `json:"seen"`
	Hit  int `json:"hit"`
}

// Report is the current Set with its counts, and how many requests passed the proxy.
type Report struct {
	Silent   bool      `json:"silent"`
	Requests int64     `json:"requests"`
	Rules    []Counted `json:"rules"`
}

func (s *state) report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Report{Silent: s.set.Silent, Rules: []Counted{}}
	for _, r := range s.set.Rules {
		out.Rules = append(out.Rules, Counted{r, r.seen, r.hit})
	}
	return out
}
