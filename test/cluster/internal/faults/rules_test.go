package faults

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	for rule, want := range map[string]string{
		`{"rules":[{"match":{}}]}`:                                   "no fault",
		`{"rules":[{"match":{},"status":500,"silence":true}]}`:       "only one of",
		`{"rules":[{"match":{},"status":200}]}`:                      "between 400 and 599",
		`{"rules":[{"match":{},"status":500,"share":0}]}`:            "share",
		`{"rules":[{"match":{},"status":500,"share":1.5}]}`:          "share",
		`{"rules":[{"match":{},"status":500,"times":-1}]}`:           "not negative",
		`{"rules":[{"match":{},"retryAfter":1,"silence":true}]}`:     "goes with status",
		`{"rules":[{"match":{},"expired":"yes"}]}`:                   "expired is",
		`{"rules":[{"match":{},"cut":{}}]}`:                          "wants after",
		`{"rules":[{"match":{},"cut":{"events":1,"how":"gently"}}]}`: "cut.how",
		`{"rules":[{"match":{},"cut":{"bytes":-1}}]}`:                "none negative",
		`{"rules":[{"match":{},"delay":5}]}`:                         "a duration is a string",
		`{"rules":[{"match":{},"delay":"-5s"}]}`:                     "negative",
		`{"rules":[{"match":{},"delay":"soon"}]}`:                    "invalid duration",
		`{"rules":[{"match":{"verb":"watch"},"silence":true}]}`:      "unknown field",
		`{"rules":[null]}`:                                           "null",
		`{} {}`:                                                      "more than one",
		`[`:                                                          "unexpected",
	} {
		if _, err := Parse([]byte(rule)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", rule, err, want)
		}
	}
	if s, err := Parse([]byte(`{"silent":true,"rules":[{"match":{"group":""},"delay":"5ms","cut":{"bytes":0}}]}`)); err != nil || s.Rules[0].Cut.How != Abort {
		t.Errorf("%+v %v", s, err)
	}
}

// frames is a protobuf watch: each event's length in four bytes, then the event.
func frames(sizes ...int) []byte {
	var b []byte
	for n, size := range sizes {
		b = binary.BigEndian.AppendUint32(b, uint32(size))
		b = append(b, bytes.Repeat([]byte{byte(n)}, size)...)
	}
	return b
}

// TestCutAfterProtobufEvents: however the bytes come, whole events pass and nothing of the next.
func TestCutAfterProtobufEvents(t *testing.T) {
	all := frames(3, 300, 1, 70000, 5)
	want := frames(3, 300, 1)
	for _, step := range []int{1, 2, 3, 5, 100, 1 << 20} {
		r := newCutReader(context.Background(), io.NopCloser(&slow{all, step}), &Cut{Events: 3, How: End}, "application/vnd.kubernetes.protobuf; stream=watch")
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("in steps of %d: %d bytes, %v, want %d", step, len(got), err, len(want))
		}
	}
}

type slow struct {
	rest []byte
	step int
}

func (s *slow) Read(b []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), s.step)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
