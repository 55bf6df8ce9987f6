import java.util.ArrayList;
import java.util.List;

/**
 * A program of known functions, for the agent to profile: two threads burn CPU in `hot` and `warm`, two to one, a third allocates in `allocate`,
 * and two more want one lock in `contend`. Ends after as many seconds as its argument says, and prints the CPU time of its process, in seconds:
 * before it began, and in all.
 */
public final class KnownWork {
    private static final Object LOCK = new Object();
    static volatile long sink;
    static volatile byte[] kept;

    public static void main(String[] args) throws Exception {
        double beforeS = cpuS();
        long endNs = System.nanoTime() + Long.parseLong(args[0]) * 1_000_000_000L;
        List<Thread> threads = new ArrayList<>();
        threads.add(new Thread(() -> { while (System.nanoTime() < endNs) { hot(); hot(); warm(); } }, "burner"));
        threads.add(new Thread(() -> { while (System.nanoTime() < endNs) { allocate(); pause(2); } }, "allocator"));
        for (int i = 0; i < 2; i++) threads.add(new Thread(() -> { while (System.nanoTime() < endNs) contend(); }, "contender-" + i));
        for (Thread thread : threads) thread.start();
        for (Thread thread : threads) thread.join();
        System.out.println("before " + beforeS);
        System.out.println("cpu " + cpuS());
        System.out.flush();
        Thread.sleep(Long.parseLong(args[1]) * 1000);
    }

    private static double cpuS() {
        return ProcessHandle.current().info().totalCpuDuration().get().toNanos() / 1e9;
    }

    static void hot() {
        spin(2_000_000);
    }

    static void warm() {
        spin(2_000_000);
    }

    private static void spin(int rounds) {
        long x = sink | 1;
        for (int i = 0; i < rounds; i++) x = x * 6364136223846793005L + 1442695040888963407L;
        sink = x;
    }

    static void allocate() {
        for (int i = 0; i < 200; i++) kept = new byte[20_000];
    }

    static void contend() {
        synchronized (LOCK) {
            pause(20);
        }
    }

    private static void pause(int ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
