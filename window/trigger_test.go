package window

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Goal: the canonical form, what the output of a grouping continues with (M61),
// and whether a trigger may finish (M53).
func TestTrigger(t *testing.T) {
	count, pt := AfterCount(3), AfterProcessingTime(time.Minute)
	for _, tc := range []struct {
		trigger   Trigger
		text      string
		continued string
		mayFinish bool
	}{
		{Default(), "default", "default", false},
		{Never(), "never", "never", false},
		{count, "count(3)", "count(1)", true},
		{pt, "processing_time(1m0s)", "synchronized_processing_time", true},
		{pt.AlignedTo(time.Hour, time.Second), "processing_time(1m0s,align=1h0m0s+1s)", "synchronized_processing_time", true},
		{AfterSynchronizedProcessingTime(), "synchronized_processing_time", "synchronized_processing_time", true},
		{Always(), "repeat(count(1))", "repeat(count(1))", false},
		{AfterWatermark(), "after_watermark", "after_watermark", true},
		{AfterWatermark().Early(count), "after_watermark(early=count(3))", "after_watermark(early=count(1))", true},
		{AfterWatermark().Early(pt).Late(count), "after_watermark(early=processing_time(1m0s),late=count(3))",
			"after_watermark(early=synchronized_processing_time,late=count(1))", false},
		{Repeat(pt), "repeat(processing_time(1m0s))", "repeat(synchronized_processing_time)", false},
		{AfterAny(count, pt), "any(count(3),processing_time(1m0s))", "any(count(1),synchronized_processing_time)", true},
		{AfterAny(Always(), Never()), "any(repeat(count(1)),never)", "any(repeat(count(1)),never)", true},
		{AfterAny(Never()), "any(never)", "any(never)", false},
		{AfterAll(count, Never()), "all(count(3),never)", "all(count(1),never)", false},
		{AfterAll(count, Always()), "all(count(3),repeat(count(1)))", "all(count(1),repeat(count(1)))", true},
		{AfterEach(count, pt), "each(count(3),processing_time(1m0s))", "repeat(any(count(1),synchronized_processing_time))", true},
		{AfterEach(count, Always()), "each(count(3),repeat(count(1)))", "repeat(any(count(1),repeat(count(1))))", false},
		{OrFinally(Always(), count), "or_finally(repeat(count(1)),count(3))", "or_finally(repeat(count(1)),count(1))", true},
		{OrFinally(Default(), Never()), "or_finally(default,never)", "or_finally(default,never)", false},
		{OrFinally(count, Never()), "or_finally(count(3),never)", "or_finally(count(1),never)", true},
		{WatermarkTrigger{}, "after_watermark", "after_watermark", true},
		{ProcessingTimeTrigger{}, "processing_time(0s)", "synchronized_processing_time", true},
	} {
		t.Run(tc.text, func(t *testing.T) {
			assert.Equal(t, tc.text, tc.trigger.String())
			assert.Equal(t, tc.continued, Continuation(tc.trigger).String())
			assert.Equal(t, tc.mayFinish, MayFinish(tc.trigger))
		})
	}
}

func TestWatermarkTrigger_partsDoNotShare(t *testing.T) {
	base := AfterWatermark().Early(AfterCount(1))
	late := base.Late(AfterCount(2))
	assert.Equal(t, "after_watermark(early=count(1))", base.String())
	assert.Equal(t, "after_watermark(early=count(1),late=count(2))", late.String())
}
