package conformance

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// What the suite prints, shortened: \x16 marks the test framework's own lines.
const printed = "\x16=== RUN   TestC\n" +
	"    conformance.go:72: Running conformance tests with:\n" +
	"\x16=== RUN   TestC/Good\n    http.go:331: 2026-11-21T14:00:24.7Z: Request passed\n\x16--- PASS: TestC/Good (0.13s)\n\x16=== NAME  TestC\n" +
	"\x16=== RUN   TestC/Asserts\n" +
	"    helpers.go:100: \n" +
	"        \tError Trace:\t/x/helpers.go:100\n" +
	"        \tError:      \tReceived unexpected error:\n" +
	"        \t            \tcontext deadline exceeded\n" +
	"        \tTest:       \tTestC/Asserts\n" +
	"        \tMessages:   \terror waiting for Gateway\n" +
	"    apply.go:279: 2026-11-21T14:00:29.7Z: Deleting Gateway\n" +
	"\x16--- FAIL: TestC/Asserts (180.00s)\n\x16=== NAME  TestC\n" +
	"\x16=== RUN   TestC/Polls\n\x16=== RUN   TestC/Polls/0_to_'/a/b'_by_host\n\x16=== PAUSE TestC/Polls/0_to_'/a/b'_by_host\n" +
	"\x16=== RUN   TestC/Polls/1_to_'/c'\n\x16=== PAUSE TestC/Polls/1_to_'/c'\n" +
	"\x16=== CONT  TestC/Polls/0_to_'/a/b'_by_host\n" +
	"    http.go:325: 2026-11-21T14:00:28.7Z: Response expectation failed for request: {URL: {}}  not ready yet: expected status 200, got 404 (after 4s)\n" +
	"\x16=== CONT  TestC/Polls/1_to_'/c'\n    http.go:331: 2026-11-21T14:00:24.7Z: Request passed\n\x16--- PASS: TestC/Polls/1_to_'/c' (0.10s)\n" +
	"\x16=== NAME  TestC/Polls/0_to_'/a/b'_by_host\n" +
	"    http.go:306: 2026-11-21T14:00:29.7Z: timeout while waiting after 5 attempts, 0/3 successes\n" +
	"    mirror.go:107: 2026-11-21T14:00:29.7Z: Found mirrored request log in all desired backends\n" +
	"\x16--- FAIL: TestC/Polls/0_to_'/a/b'_by_host (5.01s)\n\x16--- FAIL: TestC/Polls (5.02s)\n\x16=== NAME  TestC\n" +
	"\x16=== RUN   TestC/Not\n    conformance.go:60: Skipping\n\x16--- SKIP: TestC/Not (0.00s)\n\x16=== NAME  TestC\n" +
	"open line\x16--- FAIL: TestC (6.24s)\n\x16=== NAME  \n\x16FAIL\n"

func read(t *testing.T, text string) (*Output, string) {
	t.Helper()
	var shown, log bytes.Buffer
	o := NewOutput("TestC", 4, &shown)
	if err := o.Read(iotest{strings.NewReader(text)}, &log); err != nil {
		t.Fatal(err)
	}
	return o, shown.String()
}

// iotest gives one byte at a time, as a slow pipe might.
type iotest struct{ r io.Reader }

func (i iotest) Read(b []byte) (int, error) { return i.r.Read(b[:1]) }

func TestOutput(t *testing.T) {
	o, shown := read(t, printed)
	want := []Result{
		{"Good", Passed, "0.13s", ""},
		{"Asserts", Failed, "180.00s", "error waiting for Gateway: context deadline exceeded"},
		{"Polls", Failed, "5.02s", "0_to_'/a/b'_by_host: timeout while waiting after 5 attempts, 0/3 successes: failed: expected status 200, got 404 (after 4s)"},
		{"Not", Skipped, "0.00s", ""},
	}
	if len(o.Results) != len(want) {
		t.Fatalf("results: %+v", o.Results)
	}
	for i, w := range want {
		if o.Results[i] != w {
			t.Errorf("got  %+v\nwant %+v", o.Results[i], w)
		}
	}
	if o.Error != "" {
		t.Errorf("error outside of tests: %q", o.Error)
	}
	if lines := strings.Count(shown, "\n"); lines != 3 || !strings.Contains(shown, "failed   2/4 Asserts (180.00s)\n") {
		t.Errorf("shown:\n%s", shown)
	}
}

func TestOutputOfASuiteThatDoesNotStart(t *testing.T) {
	o, _ := read(t, "\x16=== RUN   TestC\n    suite.go:10: \n        \tError Trace:\tx\n        \tError:      \tno such host\n\x16--- FAIL: TestC (6.24s)\n\x16FAIL\n")
	if o.Error != "no such host" || len(o.Results) != 0 {
		t.Errorf("%+v", o)
	}
	o, _ = read(t, "\x16=== RUN   TestC\npanic: runtime error: index out of range\n\ngoroutine 1 [running]:\n\x16--- FAIL: TestC (6.24s)\n\x16FAIL\n")
	if o.Error != "panic: runtime error: index out of range" {
		t.Errorf("%+v", o)
	}
}
