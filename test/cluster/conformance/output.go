package conformance

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Statuses of a test.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped"
)

// Result is how one of the suite's tests ended.
type Result struct {
	Name   string
	Status string
	Took   string // as Go prints it: 0.42s
	Error  string // the first error's line, if it failed
}

// Output is what a run of the test binary printed, read while it prints.
type Output struct {
	Results []Result // the suite's tests, in the order they ended
	Error   string   // the first error outside of them, if any

	top     string            // the Go test that holds the suite's
	current string            // whose lines these are
	last    map[string]string // the last complaint among the lines each test logged, or the last line
	found   map[string]string // the first assertion that failed in each
	block   *assertion        // being read
	total   int
	print   io.Writer
}

// assertion is a block that the suite's assertion library prints when one fails.
type assertion struct {
	section         string
	error, messages []string
}

const (
	mark      = "\x16" // before each line that the test framework itself prints
	errorKeep = 240    // characters of an error
	partKeep  = 80     // and of the name of the part of a test that it is from
	noise     = "Received unexpected error: "
)

var (
	ended   = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \((.*)\)$`)
	began   = regexp.MustCompile(`^=== (RUN|NAME|CONT|PAUSE)\s+(\S*)$`)
	section = regexp.MustCompile(`^\s+(Error Trace|Error|Test|Messages):\s*(.*)$`)
	stamp   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\S+Z: `)
	// What polls and checks of the suite print when they are not content.
	complains = regexp.MustCompile(`(?i)fail|error|timeout|timed out|unexpected|mismatch|invalid|expected .* (got|but|to)|not (ready|found|match)`)
	timedOut  = regexp.MustCompile(`(?i)^time(d )?out`)
	logged    = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)$`)
)

var statusOf = map[string]string{"PASS": Passed, "FAIL": Failed, "SKIP": Skipped}

// NewOutput reads the output of a Go test named top whose subtests are the suite's tests, and prints
// a line for each of those that ran. total is how many there are, for the numbers printed.
func NewOutput(top string, total int, print io.Writer) *Output {
	return &Output{top: top, total: total, print: print, last: map[string]string{}, found: map[string]string{}}
}

// Read reads until the output ends, and copies it to log.
func (o *Output) Read(r io.Reader, log io.Writer) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			if _, err := io.WriteString(log, strings.TrimPrefix(line, mark)); err != nil {
				return err
			}
			o.line(strings.TrimRight(line, "\r\n"))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (o *Output) line(s string) {
	// A program may leave its last line open: the mark need not stand at the beginning.
	if i := strings.Index(s, mark); i >= 0 {
		o.text(s[:i])
		s = s[i+len(mark):]
		if m := began.FindStringSubmatch(s); m != nil {
			o.close()
			o.current = m[2]
			return
		}
		if m := ended.FindStringSubmatch(s); m != nil {
			o.close()
			o.end(m[2], statusOf[m[1]], m[3])
			return
		}
	}
	o.text(s)
}

// text reads a line that a test printed.
func (o *Output) text(s string) {
	if o.block != nil {
		if m := section.FindStringSubmatch(s); m != nil {
			o.block.section = m[1]
			o.block.add(m[2])
			return
		}
		if m := logged.FindStringSubmatch(s); m == nil && strings.HasPrefix(s, "        \t") {
			o.block.add(s)
			return
		}
		o.close()
	}
	if m := logged.FindStringSubmatch(s); m != nil {
		if strings.TrimSpace(m[1]) == "" { // an assertion's block follows
			o.block = &assertion{}
			return
		}
		o.complaint(m[1])
	} else if strings.HasPrefix(s, "panic:") {
		o.found[o.current] = s
	}
}

// complaint keeps a logged line if it tells more than what is kept. Log lines of what went wrong and
// of what went well look alike: only their words tell them apart.
func (o *Output) complaint(s string) {
	s = stamp.ReplaceAllString(s, "")
	old := o.last[o.current]
	switch {
	case !complains.MatchString(s):
		if complains.MatchString(old) {
			return
		}
	case timedOut.MatchString(s) && complains.MatchString(old) && !timedOut.MatchString(old):
		s += ": " + old // a poll's end says nothing of why
	default:
		// Of a failed try, what was wrong comes after the request that was made.
		if _, why, ok := strings.Cut(s, "not ready yet: "); ok {
			s = "failed: " + why
		}
	}
	o.last[o.current] = s
}

func (a *assertion) add(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	switch a.section {
	case "Error":
		a.error = append(a.error, s)
	case "Messages":
		a.messages = append(a.messages, s)
	}
}

// close ends the block being read, if any.
func (o *Output) close() {
	if o.block == nil {
		return
	}
	a := o.block
	o.block = nil
	if o.found[o.current] == "" && len(a.error) > 0 {
		text := strings.Join(a.error, " ")
		if len(a.messages) > 0 {
			text = a.messages[0] + ": " + text
		}
		o.found[o.current] = text
	}
}

// end notes the end of a test or a test's part.
func (o *Output) end(name, status, took string) {
	text := o.found[name]
	if text == "" && status == Failed {
		text = o.last[name]
	}
	text = shorten(strings.Replace(text, noise, "", 1), errorKeep+partKeep)
	short := strings.TrimPrefix(name, o.top+"/")
	switch {
	case name == o.top:
		if status == Failed && !o.anyFailed() {
			o.Error = text
		}
	case !strings.HasPrefix(name, o.top+"/"):
	case strings.Contains(short, "/"): // a part ends before what it is a part of: the innermost is heard
		test, part, _ := strings.Cut(short, "/")
		if key := o.top + "/" + test; status == Failed && o.found[key] == "" {
			o.found[key] = shorten(part, partKeep) + ": " + shorten(text, errorKeep)
		}
	default:
		o.Results = append(o.Results, Result{Name: short, Status: status, Took: took, Error: text})
		if status != Skipped {
			fmt.Fprintf(o.print, "%s %3d/%d %s (%s)\n", status, len(o.Results), o.total, short, took)
		}
	}
	delete(o.last, name)
	delete(o.found, name)
}

func (o *Output) anyFailed() bool {
	for _, r := range o.Results {
		if r.Status == Failed {
			return true
		}
	}
	return false
}

func shorten(s string, keep int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > keep {
		return string(r[:keep]) + "..."
	}
	return s
}
