package conformance

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/consts"
	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"
)

// Set for the process that plays a suite with a failing parallel test.
const (
	playEnv   = "RAUTA_CONFORMANCE_PLAY"
	reportEnv = "RAUTA_CONFORMANCE_PLAY_REPORT"
	asIsEnv   = "RAUTA_CONFORMANCE_PLAY_AS_IS" // leave the Parallel marks on
	noServer  = "https://127.0.0.1:1"          // the played suite asks no API server anything
)

// played is a suite of three tests, two of them marked Parallel.
func played() []suite.ConformanceTest {
	core := []features.FeatureName{features.SupportGateway, features.SupportHTTPRoute}
	return []suite.ConformanceTest{
		{ShortName: "Passes", Features: core, Test: func(*testing.T, *suite.ConformanceTestSuite) {}},
		{ShortName: "PassesInParallel", Features: core, Parallel: true, Test: func(*testing.T, *suite.ConformanceTestSuite) {}},
		{ShortName: "FailsInParallel", Features: core, Parallel: true, Test: func(t *testing.T, _ *suite.ConformanceTestSuite) {
			t.Run("a part of it", func(t *testing.T) { t.Error("the pear is not an apple") })
		}},
	}
}

// crds answers the one question that making a suite asks: which version of the API is installed.
type crds struct{ client.Client }

func (crds) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	l, ok := list.(*apiextensions.CustomResourceDefinitionList)
	if !ok {
		return errors.New("only CRDs can be listed here")
	}
	l.Items = []apiextensions.CustomResourceDefinition{{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		consts.BundleVersionAnnotation: consts.BundleVersion, consts.ChannelAnnotation: "experimental"}}}}
	return nil
}

// TestPlayed is not a test of its own: it plays a suite for TestFailingParallelTestShowsAsFailed.
func TestPlayed(t *testing.T) {
	if os.Getenv(playEnv) == "" {
		t.Skip("played by TestFailingParallelTestShowsAsFailed")
	}
	s, err := suite.NewConformanceTestSuite(suite.ConformanceOptions{
		Client: crds{}, RestConfig: &rest.Config{Host: noServer},
		ConfigurableOptions: suite.ConfigurableOptions{SupportedFeatures: []features.FeatureName{features.SupportGateway},
			ConformanceProfiles: []suite.ConformanceProfileName{suite.GatewayHTTPConformanceProfileName}},
	})
	if err != nil {
		t.Fatal(err)
	}
	list := played()
	if os.Getenv(asIsEnv) == "" {
		list = Serial(list)
	}
	if err := s.Run(t, list); err != nil {
		t.Fatal(err)
	}
	report, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	b, err := yaml.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv(reportEnv), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// play runs the played suite as the runner runs the real one, and returns what it printed, its exit
// status and the suite's own report.
func play(t *testing.T, env ...string) (string, int, confv1.Status) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "report.yaml")
	var out bytes.Buffer
	r := &Runner{LogDir: dir, Tests: played(), Top: "TestPlayed", Out: &out, Suite: func(ctx context.Context) *exec.Cmd {
		cmd := child(ctx, playEnv, "TestPlayed")
		cmd.Env = append(cmd.Env, append(env, reportEnv+"="+file)...)
		return cmd
	}}
	results, code, err := r.suite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ended <- errors.New("exit status 9")
	r.gone = ended
	code = r.finish(results, code)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; the played suite printed:\n%s", err, out.String())
	}
	var report confv1.ConformanceReport
	if err := yaml.Unmarshal(b, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.ProfileReports) != 1 {
		t.Fatalf("%d profiles in the report", len(report.ProfileReports))
	}
	return out.String(), code, report.ProfileReports[0].Core
}

func TestFailingParallelTestShowsAsFailed(t *testing.T) {
	out, code, report := play(t)
	if code == 0 {
		t.Error("exit status 0")
	}
	if report.Failed != 1 || !slices.Equal(report.FailedTests, []string{"FailsInParallel"}) || report.Result != confv1.Failure {
		t.Errorf("the report says %+v", report)
	}
	for _, want := range []string{
		"\nGATEWAY-HTTP   core      2       1       0", "FailsInParallel\n      a_part_of_it: the pear is not an apple\n",
		"\nthe implementation ended before the suite did (exit status 9): see ", "conformance: 2 passed, 1 failed, 0 skipped",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// As long as this holds, Serial is needed: when the suite reports its parallel tests truly, this test
// fails, and Serial can go.
func TestParallelMarksMakeTheReportLie(t *testing.T) {
	out, code, report := play(t, asIsEnv+"=1")
	if report.Failed != 0 || report.Passed != 3 {
		t.Errorf("the report tells the truth: %+v", report)
	}
	if code == 0 || !strings.Contains(out, "conformance: 2 passed, 1 failed, 0 skipped") {
		t.Errorf("the runner believed it: exit status %d\n%s", code, out)
	}
}

func TestSerialLeavesNoMark(t *testing.T) {
	marked := 0
	for _, x := range tests.ConformanceTests {
		if x.Parallel {
			marked++
		}
	}
	if marked == 0 {
		t.Fatal("no test is marked: is Serial still needed?")
	}
	for _, x := range Serial(slices.Clone(tests.ConformanceTests)) {
		if x.Parallel {
			t.Errorf("%s is still marked", x.ShortName)
		}
	}
}

// The options file lies with the runner's script; a binary that was moved elsewhere cannot see it.
const optionsFile = "../../conformance/options.yaml"

func TestOptionsNameEverything(t *testing.T) {
	b, err := os.ReadFile(optionsFile)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("run this from its own folder in the source tree: %v", err)
	}
	var o suite.ConfigurableOptions
	if err := yaml.UnmarshalStrict(b, &o); err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, f := range o.SupportedFeatures {
		have = append(have, string(f))
	}
	slices.Sort(have)
	if want := Features(); !slices.Equal(have, want) {
		t.Errorf("features:\n%v\nwant\n%v", have, want)
	}
	var profiles []suite.ConformanceProfileName
	for _, p := range Profiles {
		profiles = append(profiles, p.Name)
	}
	if !slices.Equal(o.ConformanceProfiles, profiles) {
		t.Errorf("profiles: %v, want %v", o.ConformanceProfiles, profiles)
	}
	if err := o.Implementation.Validate(); o.Implementation.Version == "" { // the script gives it
		o.Implementation.Version = "v0"
		err = o.Implementation.Validate()
		if err != nil {
			t.Error(err)
		}
	} else if err != nil {
		t.Error(err)
	}
}
