// Package writes counts API writes by who made them. The API server's metrics have no label for
// the user agent, its audit log has the name in every line.
package writes

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Client is what one user agent wrote.
type Client struct {
	Writes int                       `json:"writes"` // those that succeeded
	Failed map[string]int            `json:"failed,omitempty"`
	By     map[string]map[string]int `json:"by,omitempty"` // resource -> verb -> succeeded
}

// Report is the count of all of them.
type Report struct {
	Since   time.Time          `json:"since,omitzero"`
	Until   time.Time          `json:"until"`
	Total   int                `json:"total"`
	Clients map[string]*Client `json:"clients"`
}

// event is what is wanted of a line of the audit log.
type event struct {
	Stage     string `json:"stage"`
	Verb      string `json:"verb"`
	UserAgent string `json:"userAgent"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	StageTimestamp time.Time `json:"stageTimestamp"`
}

const (
	complete   = "ResponseComplete"
	firstError = 400
)

// Count reads an audit log and counts the writes that ended at or after since. A last line that is
// not whole yet is left for the next time.
func Count(log io.Reader, since time.Time) (*Report, error) {
	out := &Report{Since: since, Clients: map[string]*Client{}}
	in := bufio.NewReader(log)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			out.Until = time.Now().UTC()
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Stage == complete && !e.StageTimestamp.Before(since) {
			out.add(&e)
		}
	}
}

func (r *Report) add(e *event) {
	c := r.Clients[e.UserAgent]
	if c == nil {
		c = &Client{By: map[string]map[string]int{}}
		r.Clients[e.UserAgent] = c
	}
	if e.ResponseStatus.Code >= firstError {
		if c.Failed == nil {
			c.Failed = map[string]int{}
		}
		c.Failed[fmt.Sprint(e.ResponseStatus.Code)]++
		return
	}
	resource := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		resource += "/" + e.ObjectRef.Subresource
	}
	if c.By[resource] == nil {
		c.By[resource] = map[string]int{}
	}
	c.By[resource][e.Verb]++
	c.Writes++
	r.Total++
}
