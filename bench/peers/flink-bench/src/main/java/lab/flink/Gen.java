package lab.flink;

import java.nio.charset.StandardCharsets;

/** The deterministic generator of NEXMARK.md: every field is a pure function of the event number. */
public final class Gen {
    public static final long GAMMA = 0x9E3779B97F4A7C15L;
    public static final long SEED = 42L;
    public static final long WSEED = 4242L;
    public static final long BASE = 1_700_000_000_000L;
    public static final int JITTER = 1000;
    public static final int PERSON = 0, AUCTION = 1, BID = 2;

    static final String[] FIRST = {"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"};
    static final String[] LAST = {"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"};
    static final String[] CITY = {"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"};
    static final String[] STATE = {"AZ", "CA", "ID", "OR", "WA", "WY"};
    static final String[] NAME = new String[99];
    static final long[] K = new long[6];

    static {
        for (int i = 0; i < 99; i++) NAME[i] = FIRST[i / 9] + " " + LAST[i % 9];
        for (int i = 1; i < 6; i++) K[i] = mix64(i) | 1L;
    }

    static final long K1 = mix64(1) | 1, K2 = mix64(2) | 1, K3 = mix64(3) | 1, K4 = mix64(4) | 1, K5 = mix64(5) | 1;

    public static long mix64(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    public static long r(long n, int k) { return mix64(SEED + (8 * n + k + 1) * GAMMA); }

    public static long below(long r, long m) { return ((r >>> 32) * m) >>> 32; }

    public static long h(long a, long b) { return mix64(a * K1 + b * K2); }
    public static long h(long a, long b, long c) { return mix64(a * K1 + b * K2 + c * K3); }
    public static long h(long a, long b, long c, long d) { return mix64(a * K1 + b * K2 + c * K3 + d * K4); }
    public static long h(long a, long b, long c, long d, long e) { return mix64(a * K1 + b * K2 + c * K3 + d * K4 + e * K5); }

    public static long fnv(String s) {
        long h = 0xcbf29ce484222325L;
        for (byte b : s.getBytes(StandardCharsets.UTF_8)) { h ^= (b & 0xff); h *= 0x100000001b3L; }
        return h;
    }

    static long active(long lp, long r) {
        long np = lp + 1, act = Math.min(np, 1000);
        return np - act + below(r, act);
    }

    /** Fills e with event n. */
    public static void fill(Ev e, long n) {
        long epoch = n / 50;
        int off = (int) (n - epoch * 50);
        e.n = n;
        e.ts = BASE + n / 10 - below(r(n, 0), JITTER);
        if (off == 0) {
            e.kind = PERSON;
            e.id = 1000 + epoch;
            e.name = NAME[(int) (below(r(n, 1), 11) * 9 + below(r(n, 2), 9))];
            e.city = CITY[(int) below(r(n, 3), 10)];
            e.state = STATE[(int) below(r(n, 4), 6)];
        } else if (off < 4) {
            e.kind = AUCTION;
            e.id = 1000 + 3 * epoch + off - 1;
            long s = r(n, 1);
            e.seller = 1000 + ((s & 3) != 0 ? epoch / 100 * 100 : active(epoch, s));
            e.category = 10 + (int) below(r(n, 2), 5);
            e.expires = e.ts + 500 + below(r(n, 3), 1500);
        } else {
            e.kind = BID;
            long la = 3 * epoch + 2, a = r(n, 1), b = r(n, 2), p = r(n, 3);
            if ((a & 1) != 0) e.auction = 1000 + la / 100 * 100;
            else { long min = Math.max(la - 100, 0); e.auction = 1000 + min + below(a, la - min + 1); }
            e.bidder = 1000 + ((b & 3) != 0 ? epoch / 100 * 100 + 1 : active(epoch, b));
            int sh = (int) (((p & 0xFFFF) * 20) >>> 16);
            e.price = 100 + (p >>> (57 - sh));
        }
    }

    /** w3 key of event n. */
    public static long key1m(long n) { return below(r(n, 7), 1_000_000); }

    // ---- w1 text ----
    static final int VOCAB = 65536;
    static String[] words;

    public static synchronized String[] words() {
        if (words != null) return words;
        String[] w = new String[VOCAB];
        StringBuilder sb = new StringBuilder();
        for (int rank = 1; rank < VOCAB; rank++) {
            long h = mix64(rank);
            int len = 3 + (int) (h & 7);
            sb.setLength(0);
            long x = h >>> 3;
            for (int i = 0; i < len; i++) { sb.append((char) ('a' + (x % 26))); x /= 26; }
            w[rank] = sb.toString();
        }
        return words = w;
    }

    /** Zipf-like rank (log-uniform) of word j of the text, 1..65535. */
    public static int rank(long j) {
        long a = mix64(WSEED + (j + 1) * GAMMA);
        int e = (int) (a & 15);
        return e == 0 ? 1 : (1 << e) + (int) (a >>> (64 - e));
    }

    /** Line i of the text: words 10i .. 10i+9 with single spaces. */
    public static String line(long i, String[] w, StringBuilder sb) {
        sb.setLength(0);
        for (int k = 0; k < 10; k++) { if (k > 0) sb.append(' '); sb.append(w[rank(10 * i + k)]); }
        return sb.toString();
    }
}
