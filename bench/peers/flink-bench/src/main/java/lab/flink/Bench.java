package lab.flink;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.*;
import org.apache.flink.api.common.state.*;
import org.apache.flink.api.common.typeinfo.*;
import org.apache.flink.api.java.tuple.*;
import org.apache.flink.configuration.*;
import org.apache.flink.streaming.api.datastream.*;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.windowing.*;
import org.apache.flink.streaming.api.windowing.assigners.*;
import org.apache.flink.streaming.api.windowing.windows.*;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.util.Collector;

import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;

/** Usage: Bench QUERY N PARALLELISM [key=value ...]; see bench/peers/README.md. */
public class Bench {
    static final long OOO = 1000;

    public static void main(String[] a) throws Exception {
        long t0 = System.nanoTime();
        String q = a[0];
        long n = Long.parseLong(a[1]);
        int p = Integer.parseInt(a[2]);
        Map<String, String> o = new HashMap<>();
        for (int i = 3; i < a.length; i++) { String[] kv = a[i].split("=", 2); o.put(kv[0], kv[1]); }
        int ckpt = Integer.parseInt(o.getOrDefault("ckpt", "0"));           // ms, 0 = off
        String backend = o.getOrDefault("backend", "hashmap");
        String bufTimeout = o.getOrDefault("buf", "100");
        double rate = Double.parseDouble(o.getOrDefault("rate", "0"));      // events/s in all, 0 = flat out
        int batch = Integer.parseInt(o.getOrDefault("batch", "16"));
        boolean reuse = Boolean.parseBoolean(o.getOrDefault("reuse", "true"));
        boolean chain = Boolean.parseBoolean(o.getOrDefault("chain", "true"));
        String wm = o.getOrDefault("wm", "50");

        StreamExecutionEnvironment env;
        Configuration c = conf(p, ckpt, backend, wm, bufTimeout);
        if ("tuned".equals(o.get("restart"))) c.setString("restart-strategy.fixed-delay.delay", "100 ms");
        if ("default".equals(o.get("restart"))) for (String k : List.of("restart-strategy.type", "restart-strategy.fixed-delay.delay", "restart-strategy.fixed-delay.attempts")) c.removeKey(k);
        if (o.containsKey("remote")) {
            String[] hp = o.get("remote").split(":");
            env = StreamExecutionEnvironment.createRemoteEnvironment(hp[0], Integer.parseInt(hp[1]), c);
        } else env = StreamExecutionEnvironment.createLocalEnvironment(p, c);
        env.setParallelism(p);
        env.setMaxParallelism(128);
        if (reuse) env.getConfig().enableObjectReuse();
        if (!chain) env.disableOperatorChaining();
        build(env, q, n, batch, rate / p, o);
        var res = env.execute("bench-" + q);

        double sec = Results.seconds();
        var os = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long gc = 0;
        for (var g : ManagementFactory.getGarbageCollectorMXBeans()) gc += g.getCollectionTime();
        StringBuilder s = new StringBuilder();
        s.append(String.format(Locale.ROOT, "{\"engine\":\"flink-2.3.0\",\"query\":\"%s\",\"par\":%d,\"events\":%d,\"seconds\":%.3f,\"events_per_s\":%.0f,\"out_count\":%d,\"checksum\":\"%016x\",\"rss_mb\":%d,\"cpu_s\":%.2f,\"run_cpu_s\":%.2f,\"startup_s\":%.2f,\"wall_s\":%.2f,\"gc_s\":%.2f,\"ckpt_ms\":%d,\"backend\":\"%s\"",
            q, p, n, sec, n / sec, Results.COUNT.sum(), Results.SUM.sum(), rssMb(), os.getProcessCpuTime() / 1e9, Results.cpuSeconds(),
            (Results.beginNanos() - t0) / 1e9, (System.nanoTime() - t0) / 1e9, gc / 1e3, ckpt, backend));
        if (rate > 0) s.append(String.format(Locale.ROOT, ",\"buf_ms\":\"%s\",\"rate\":%.0f,\"p50_ms\":%.2f,\"p90_ms\":%.2f,\"p99_ms\":%.2f,\"p999_ms\":%.2f,\"max_ms\":%.2f",
            bufTimeout, rate, Results.quantileMs(.5), Results.quantileMs(.9), Results.quantileMs(.99), Results.quantileMs(.999), Results.quantileMs(1)));
        System.out.println(s.append("}"));
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    static Configuration conf(int p, int ckpt, String backend, String wm, String buf) throws Exception {
        Configuration c = new Configuration();
        c.setString("taskmanager.numberOfTaskSlots", "" + p);
        c.setString("taskmanager.memory.network.max", "256mb");
        c.setString("taskmanager.memory.network.min", "256mb");
        c.setString("taskmanager.memory.managed.size", "1024mb");
        c.setString("pipeline.auto-watermark-interval", wm + " ms");
        c.setString("rest.bind-port", "0");
        if (buf.equals("0")) c.setString("execution.buffer-timeout.enabled", "true");
        c.setString("execution.buffer-timeout.interval", buf.equals("-1") ? "100 ms" : buf + " ms");
        c.setString("state.backend.type", backend);
        c.setString("restart-strategy.type", "fixed-delay");
        c.setString("restart-strategy.fixed-delay.delay", "0 s");
        c.setString("restart-strategy.fixed-delay.attempts", "100000");
        if (ckpt > 0) {
            Path d = Files.createTempDirectory(Paths.get(System.getProperty("lab.tmp", System.getProperty("java.io.tmpdir"))), "ckpt");
            c.setString("execution.checkpointing.interval", ckpt + " ms");
            c.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
            c.setString("execution.checkpointing.storage", "filesystem");
            c.setString("execution.checkpointing.dir", d.toUri().toString());
            if (backend.equals("rocksdb")) c.setString("execution.checkpointing.incremental", "true");
        }
        return c;
    }

    static long rssMb() throws Exception {
        for (String l : Files.readAllLines(Paths.get("/proc/self/status"))) if (l.startsWith("VmHWM")) return Long.parseLong(l.replaceAll("\\D", "")) / 1024;
        return -1;
    }

    // ---------------------------------------------------------------- queries

    static final TypeInformation<Tuple2<Long, Long>> T2 = Types.TUPLE(Types.LONG, Types.LONG);

    static void build(StreamExecutionEnvironment env, String q, long n, int batch, double rate, Map<String, String> o) {
        if (q.equals("w1") || q.equals("w1w")) { w1(env, q, n, batch); return; }
        if (q.equals("w2") || q.equals("w3")) { count(env, q, n, batch, rate, o); return; }
        boolean timed = !List.of("q0", "q1", "q2", "q3").contains(q);
        WatermarkStrategy<Ev> ws = timed
            ? WatermarkStrategy.<Ev>forBoundedOutOfOrderness(Duration.ofMillis(OOO)).withTimestampAssigner((e, t) -> e.ts)
            : WatermarkStrategy.noWatermarks();
        DataStream<Ev> src = env.fromSource(new GenSource<>(n, batch, rate, new EvMaker()), ws, "gen", TypeInformation.of(Ev.class));
        switch (q) {
            case "q0" -> src.filter(e -> e.kind == Gen.BID)
                .sinkTo(new CheckSink<>(e -> Gen.h(e.auction, e.bidder, e.price, e.ts)));
            case "q1" -> src.filter(e -> e.kind == Gen.BID)
                .map(new ToT4()).returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG))
                .sinkTo(new CheckSink<>(t -> Gen.h(t.f0, t.f1, t.f2, t.f3)));
            case "q2" -> src.filter(e -> e.kind == Gen.BID && e.auction % 123 == 0)
                .map(e -> Tuple2.of(e.auction, e.price)).returns(T2)
                .sinkTo(new CheckSink<>(t -> Gen.h(t.f0, t.f1)));
            case "q3" -> q3(src);
            case "q5" -> q5(src);
            case "q7" -> q7(src);
            default -> throw new IllegalArgumentException(q);
        }
    }

    static class EvMaker implements GenSource.Maker<Ev> {
        transient Ev e;
        public Ev make(long n, long due) { if (e == null) e = new Ev(); Gen.fill(e, n); e.due = due; return e; }
    }

    static class ToT4 extends RichMapFunction<Ev, Tuple4<Long, Long, Long, Long>> {
        final Tuple4<Long, Long, Long, Long> t = new Tuple4<>();
        public Tuple4<Long, Long, Long, Long> map(Ev e) { t.f0 = e.auction; t.f1 = e.bidder; t.f2 = e.price * 908 / 1000; t.f3 = e.ts; return t; }
    }

    // q3: incremental join person.id = auction.seller, kept in state
    static void q3(DataStream<Ev> src) {
        src.filter(e -> e.kind == Gen.PERSON && (e.state.equals("OR") || e.state.equals("ID") || e.state.equals("CA")) || e.kind == Gen.AUCTION && e.category == 10)
            .map(e -> e.kind == Gen.PERSON ? Tuple6.of(e.id, 0, e.name, e.city, e.state, 0L) : Tuple6.of(e.seller, 1, "", "", "", e.id))
            .returns(Types.TUPLE(Types.LONG, Types.INT, Types.STRING, Types.STRING, Types.STRING, Types.LONG))
            .keyBy(t -> t.f0)
            .process(new KeyedProcessFunction<Long, Tuple6<Long, Integer, String, String, String, Long>, Tuple4<String, String, String, Long>>() {
                transient ValueState<Tuple3<String, String, String>> person; transient ListState<Long> waiting;
                @Override public void open(OpenContext c) {
                    person = getRuntimeContext().getState(new ValueStateDescriptor<>("p", Types.TUPLE(Types.STRING, Types.STRING, Types.STRING)));
                    waiting = getRuntimeContext().getListState(new ListStateDescriptor<>("w", Types.LONG));
                }
                @Override public void processElement(Tuple6<Long, Integer, String, String, String, Long> t, Context c, Collector<Tuple4<String, String, String, Long>> out) throws Exception {
                    if (t.f1 == 0) {
                        person.update(Tuple3.of(t.f2, t.f3, t.f4));
                        for (Long x : waiting.get()) out.collect(Tuple4.of(t.f2, t.f3, t.f4, x));
                        waiting.clear();
                    } else {
                        var p = person.value();
                        if (p == null) waiting.add(t.f5); else out.collect(Tuple4.of(p.f0, p.f1, p.f2, t.f5));
                    }
                }
            }).returns(Types.TUPLE(Types.STRING, Types.STRING, Types.STRING, Types.LONG))
            .sinkTo(new CheckSink<>(t -> Gen.h(Gen.fnv(t.f0), Gen.fnv(t.f1), Gen.fnv(t.f2), t.f3)));
    }

    static class Count<T> implements AggregateFunction<T, Long, Long> {
        public Long createAccumulator() { return 0L; }
        public Long add(T v, Long s) { return s + 1; }
        public Long getResult(Long s) { return s; }
        public Long merge(Long x, Long y) { return x + y; }
    }

    // q5: bids per auction in sliding 10 s / 2 s windows; the auction(s) with the most
    static void q5(DataStream<Ev> src) {
        src.filter(e -> e.kind == Gen.BID).map(e -> e.auction).returns(Types.LONG)
            .keyBy(x -> x)
            .window(SlidingEventTimeWindows.of(Duration.ofSeconds(10), Duration.ofSeconds(2)))
            .aggregate(new Count<Long>(), new ProcessWindowFunction<Long, Tuple3<Long, Long, Long>, Long, TimeWindow>() {
                @Override public void process(Long k, Context c, Iterable<Long> it, Collector<Tuple3<Long, Long, Long>> out) { out.collect(Tuple3.of(k, it.iterator().next(), c.window().getEnd())); }
            }, Types.LONG, Types.LONG, Types.TUPLE(Types.LONG, Types.LONG, Types.LONG))
            .keyBy(t -> t.f2)
            .window(TumblingEventTimeWindows.of(Duration.ofSeconds(2)))
            .aggregate(new AggregateFunction<Tuple3<Long, Long, Long>, ArrayList<Tuple3<Long, Long, Long>>, ArrayList<Tuple3<Long, Long, Long>>>() {
                @Override public ArrayList<Tuple3<Long, Long, Long>> createAccumulator() { return new ArrayList<>(); }
                @Override public ArrayList<Tuple3<Long, Long, Long>> add(Tuple3<Long, Long, Long> v, ArrayList<Tuple3<Long, Long, Long>> s) {
                    if (!s.isEmpty() && v.f1 > s.get(0).f1) s.clear();
                    if (s.isEmpty() || v.f1.equals(s.get(0).f1)) s.add(v);
                    return s;
                }
                @Override public ArrayList<Tuple3<Long, Long, Long>> getResult(ArrayList<Tuple3<Long, Long, Long>> s) { return s; }
                @Override public ArrayList<Tuple3<Long, Long, Long>> merge(ArrayList<Tuple3<Long, Long, Long>> x, ArrayList<Tuple3<Long, Long, Long>> y) { for (var v : y) add(v, x); return x; }
            }, (WindowFunction<ArrayList<Tuple3<Long, Long, Long>>, Tuple3<Long, Long, Long>, Long, TimeWindow>) (k, w, it, out) -> { for (var t : it.iterator().next()) out.collect(t); },
                cast(Types.LIST(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG))), Types.TUPLE(Types.LONG, Types.LONG, Types.LONG))
            .sinkTo(new CheckSink<>(t -> Gen.h(t.f0, t.f1, t.f2)));
    }

    @SuppressWarnings("unchecked") static <T> TypeInformation<T> cast(TypeInformation<?> t) { return (TypeInformation<T>) t; }

    // q7: highest bid(s) of each 10 s window
    static void q7(DataStream<Ev> src) {
        var t4 = Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG);
        src.filter(e -> e.kind == Gen.BID)
            .map(new RichMapFunction<Ev, Tuple4<Long, Long, Long, Long>>() {
                final Tuple4<Long, Long, Long, Long> t = new Tuple4<>();
                @Override public Tuple4<Long, Long, Long, Long> map(Ev e) { t.f0 = e.price; t.f1 = e.auction; t.f2 = e.bidder; t.f3 = e.ts; return t; }
            }).returns(cast(t4))
            .windowAll(TumblingEventTimeWindows.of(Duration.ofSeconds(10)))
            .aggregate(new AggregateFunction<Tuple4<Long, Long, Long, Long>, ArrayList<Tuple4<Long, Long, Long, Long>>, ArrayList<Tuple4<Long, Long, Long, Long>>>() {
                @Override public ArrayList<Tuple4<Long, Long, Long, Long>> createAccumulator() { return new ArrayList<>(); }
                @Override public ArrayList<Tuple4<Long, Long, Long, Long>> add(Tuple4<Long, Long, Long, Long> v, ArrayList<Tuple4<Long, Long, Long, Long>> s) {
                    if (!s.isEmpty() && v.f0 > s.get(0).f0) s.clear();
                    if (s.isEmpty() || v.f0.equals(s.get(0).f0)) s.add(v.copy());
                    return s;
                }
                @Override public ArrayList<Tuple4<Long, Long, Long, Long>> getResult(ArrayList<Tuple4<Long, Long, Long, Long>> s) { return s; }
                @Override public ArrayList<Tuple4<Long, Long, Long, Long>> merge(ArrayList<Tuple4<Long, Long, Long, Long>> x, ArrayList<Tuple4<Long, Long, Long, Long>> y) { for (var v : y) add(v, x); return x; }
            }, new AllWindowFunction<ArrayList<Tuple4<Long, Long, Long, Long>>, Tuple5<Long, Long, Long, Long, Long>, TimeWindow>() {
                @Override public void apply(TimeWindow w, Iterable<ArrayList<Tuple4<Long, Long, Long, Long>>> it, Collector<Tuple5<Long, Long, Long, Long, Long>> out) {
                    for (var t : it.iterator().next()) out.collect(Tuple5.of(w.getEnd(), t.f0, t.f1, t.f2, t.f3));
                }
            }, cast(Types.LIST(t4)), Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG, Types.LONG))
            .sinkTo(new CheckSink<>(t -> Gen.h(t.f0, t.f1, t.f2, t.f3, t.f4)));
    }

    // w1: word count over generated text, final counts
    static void w1(StreamExecutionEnvironment env, String q, long lines, int batch) {
        KeyedStream<String, String> words = env.fromSource(new GenSource<>(lines, batch, 0, new LineMaker()), WatermarkStrategy.noWatermarks(), "text", Types.STRING)
            .flatMap((FlatMapFunction<String, String>) (s, out) -> {
                int from = 0;
                for (int i = s.indexOf(' '); i >= 0; i = s.indexOf(' ', from)) { out.collect(s.substring(from, i)); from = i + 1; }
                out.collect(s.substring(from));
            }).returns(Types.STRING)
            .keyBy(x -> x);
        DataStream<Tuple2<String, Long>> counts;
        if (q.equals("w1w")) counts = words.window(GlobalWindows.createWithEndOfStreamTrigger())
            .aggregate(new Count<String>(), (WindowFunction<Long, Tuple2<String, Long>, String, GlobalWindow>) (k, w, it, out) -> out.collect(Tuple2.of(k, it.iterator().next())), Types.LONG, Types.TUPLE(Types.STRING, Types.LONG));
        else counts = words.process(new KeyedProcessFunction<String, String, Tuple2<String, Long>>() { // about twice the speed of the window
            transient ValueState<Long> st;
            @Override public void open(OpenContext c) { st = getRuntimeContext().getState(new ValueStateDescriptor<>("c", Types.LONG)); }
            @Override public void processElement(String w, Context c, Collector<Tuple2<String, Long>> out) throws Exception {
                Long v = st.value();
                if (v == null) c.timerService().registerEventTimeTimer(Long.MAX_VALUE);
                st.update(v == null ? 1L : v + 1);
            }
            @Override public void onTimer(long ts, OnTimerContext c, Collector<Tuple2<String, Long>> out) throws Exception { out.collect(Tuple2.of(c.getCurrentKey(), st.value())); }
        }).returns(Types.TUPLE(Types.STRING, Types.LONG));
        counts.sinkTo(new CheckSink<>(t -> Gen.h(Gen.fnv(t.f0), t.f1)));
    }

    static class LineMaker implements GenSource.Maker<String> {
        transient String[] w; transient StringBuilder sb;
        public String make(long i, long due) { if (w == null) { w = Gen.words(); sb = new StringBuilder(); } return Gen.line(i, w, sb); }
    }

    // w2/w3: running count per key, one output per input
    static void count(StreamExecutionEnvironment env, String q, long n, int batch, double rate, Map<String, String> o) {
        DataStream<Tuple2<Long, Long>> in;
        if (q.equals("w2")) {
            in = env.fromSource(new GenSource<>(n, batch, rate, new EvMaker()), WatermarkStrategy.noWatermarks(), "gen", TypeInformation.of(Ev.class))
                .filter(e -> e.kind == Gen.BID).map(new BidderDue()).returns(T2);
        } else {
            in = env.fromSource(new GenSource<>(n, batch, rate, new KeyMaker()), WatermarkStrategy.noWatermarks(), "gen", T2);
        }
        // fused=true (parallelism 1 only): no exchange between source and count, the whole query is one task
        KeyedStream<Tuple2<Long, Long>, Long> keyed = o.containsKey("fused") ? DataStreamUtils.reinterpretAsKeyedStream(in, t -> t.f0, Types.LONG) : in.keyBy(t -> t.f0);
        var counted = keyed.process(new KeyedProcessFunction<Long, Tuple2<Long, Long>, Tuple3<Long, Long, Long>>() {
            transient ValueState<Long> st;
            final Tuple3<Long, Long, Long> r = new Tuple3<>();
            @Override public void open(OpenContext c) { st = getRuntimeContext().getState(new ValueStateDescriptor<>("c", Types.LONG)); }
            @Override public void processElement(Tuple2<Long, Long> t, Context c, Collector<Tuple3<Long, Long, Long>> out) throws Exception {
                Long v = st.value(); long x = v == null ? 1 : v + 1; st.update(x);
                r.f0 = t.f0; r.f1 = x; r.f2 = t.f1; out.collect(r);
            }
        }).returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG));
        if (o.containsKey("trace")) counted.sinkTo(new TraceSink(o.get("trace")));
        else counted.sinkTo(rate > 0 ? new CheckSink<>(t -> Gen.h(t.f0, t.f1), t -> t.f2, 5_000_000_000L) : new CheckSink<>(t -> Gen.h(t.f0, t.f1)));
    }

    static class BidderDue extends RichMapFunction<Ev, Tuple2<Long, Long>> {
        final Tuple2<Long, Long> t = new Tuple2<>();
        public Tuple2<Long, Long> map(Ev e) { t.f0 = e.bidder; t.f1 = e.due; return t; }
    }

    static class KeyMaker implements GenSource.Maker<Tuple2<Long, Long>> {
        transient Tuple2<Long, Long> t;
        public Tuple2<Long, Long> make(long n, long due) { if (t == null) t = new Tuple2<>(); t.f0 = Gen.key1m(n); t.f1 = due; return t; }
    }
}
