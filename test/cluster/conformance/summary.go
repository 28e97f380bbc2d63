package conformance

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// Profiles are those for gateways; the other two are for meshes.
var Profiles = []suite.ConformanceProfile{
	suite.GatewayHTTPConformanceProfile, suite.GatewayGRPCConformanceProfile, suite.GatewayTLSConformanceProfile,
	suite.GatewayTCPConformanceProfile, suite.GatewayUDPConformanceProfile,
}

// Serial clears the mark by which tests run side by side, and returns the tests. The suite takes the
// answer of testing.T.Run as the result of a test, and Run answers "passed" as soon as the test has
// said that it runs in parallel, before it has run: every such test stands as passed in the report.
// One after the other, the report says what happened.
func Serial(tests []suite.ConformanceTest) []suite.ConformanceTest {
	for i := range tests {
		tests[i].Parallel = false
	}
	return tests
}

// Features are the names of all features but those of meshes.
func Features() []string {
	var out []string
	for f := range features.AllFeatures {
		if !strings.HasPrefix(string(f.Name), "Mesh") {
			out = append(out, string(f.Name))
		}
	}
	slices.Sort(out)
	return out
}

// ForGateways says whether a test is about gateways: those about meshes cannot run here.
func ForGateways(t suite.ConformanceTest) bool {
	return !slices.Contains(t.Features, features.SupportMesh)
}

// level is a test's place in a profile: "core", "extended", or "" when it is not in it.
func level(p suite.ConformanceProfile, t suite.ConformanceTest) string {
	out := "core"
	for _, f := range t.Features {
		switch {
		case p.CoreFeatures.Has(f):
		case p.ExtendedFeatures.Has(f):
			out = "extended"
		default:
			return ""
		}
	}
	return out
}

type count struct{ passed, failed, skipped int }

func (c *count) add(status string) {
	switch status {
	case Passed:
		c.passed++
	case Failed:
		c.failed++
	default:
		c.skipped++
	}
}

func (c *count) row(w io.Writer, profile, lvl string) {
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t\n", profile, lvl, c.passed, c.failed, c.skipped)
}

// Count is how many of the tests for gateways passed, failed and were skipped. One without a result
// did not run: it counts as skipped.
func Count(tests []suite.ConformanceTest, results []Result) (passed, failed, skipped int) {
	var c count
	by := byName(results)
	for _, t := range tests {
		if ForGateways(t) {
			c.add(by[t.ShortName].Status)
		}
	}
	return c.passed, c.failed, c.skipped
}

func byName(results []Result) map[string]Result {
	out := map[string]Result{}
	for _, r := range results {
		out[r.Name] = r
	}
	return out
}

// Summary prints a table of the profiles, and each failed test with its first error.
func Summary(w io.Writer, tests []suite.ConformanceTest, results []Result) error {
	by := byName(results)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "profile\t\tpassed\tfailed\tskipped\t")
	var rest count
	in := map[string]bool{}
	for _, p := range Profiles {
		counts := map[string]*count{"core": {}, "extended": {}}
		for _, t := range tests {
			if c := counts[level(p, t)]; c != nil {
				c.add(by[t.ShortName].Status)
				in[t.ShortName] = true
			}
		}
		counts["core"].row(tw, string(p.Name), "core")
		counts["extended"].row(tw, "", "extended")
	}
	for _, t := range tests {
		if !in[t.ShortName] && ForGateways(t) {
			rest.add(by[t.ShortName].Status)
		}
	}
	rest.row(tw, "in no profile", "")
	if err := tw.Flush(); err != nil {
		return err
	}
	first := true
	for _, r := range results {
		if r.Status != Failed {
			continue
		}
		if first {
			fmt.Fprintln(w, "\nfailed:")
			first = false
		}
		fmt.Fprintf(w, "  %s\n      %s\n", r.Name, r.Error)
	}
	return nil
}
