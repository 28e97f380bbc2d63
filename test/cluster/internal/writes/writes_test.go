package writes

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const log = `{"stage":"ResponseComplete","verb":"create","userAgent":"a/1","objectRef":{"resource":"pods"},"responseStatus":{"code":201},"stageTimestamp":"2026-01-02T03:04:05.000001Z"}
{"stage":"ResponseComplete","verb":"patch","userAgent":"a/1","objectRef":{"resource":"httproutes","subresource":"status"},"responseStatus":{"code":200},"stageTimestamp":"2026-01-02T03:04:06.000000Z"}
{"stage":"ResponseComplete","verb":"update","userAgent":"b/1","objectRef":{"resource":"pods"},"responseStatus":{"code":409},"stageTimestamp":"2026-01-02T03:04:07.000000Z"}
{"stage":"Panic","verb":"update","userAgent":"b/1","objectRef":{"resource":"pods"},"responseStatus":{"code":500},"stageTimestamp":"2026-01-02T03:04:07.000000Z"}

{"stage":"ResponseComplete","verb":"patch","userAgent":"a/1","objectRef":{"resource":"httproutes","subresource":"status"},"responseStatus":{"code":200},"stageTimestamp":"2026-01-02T03:04:08.000000Z"}
{"stage":"ResponseComplete","verb":"patch","userAg`

func count(t *testing.T, text string, since time.Time) *Report {
	t.Helper()
	r, err := Count(strings.NewReader(text), since)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCount(t *testing.T) {
	r := count(t, log, time.Time{})
	want := map[string]*Client{
		"a/1": {Writes: 3, By: map[string]map[string]int{"pods": {"create": 1}, "httproutes/status": {"patch": 2}}},
		"b/1": {Failed: map[string]int{"409": 1}, By: map[string]map[string]int{}},
	}
	if r.Total != 3 || !reflect.DeepEqual(r.Clients, want) {
		t.Errorf("%+v", r)
	}
	if r = count(t, log, time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)); r.Total != 2 || r.Clients["a/1"].By["pods"] != nil {
		t.Errorf("since: %+v", r.Clients["a/1"])
	}
	if r = count(t, "", time.Time{}); r.Total != 0 || r.Clients == nil {
		t.Errorf("empty: %+v", r)
	}
	if _, err := Count(strings.NewReader("{}\nnonsense\n"), time.Time{}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("nonsense: %v", err)
	}
}
