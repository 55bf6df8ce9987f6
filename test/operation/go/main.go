// A program of known functions that is profiled in two ways: over net/http/pprof, by whoever asks, and by pyroscope-go, which pushes to the server that
// it reads from its input. It is idle for as long as both need to have begun, works, and is idle again until both have got all of the work; then it
// prints how much that was, and ends. Before that it prints its address, and the path of each request.
//
// Go has one CPU profiler a process, so where a program is asked for CPU profiles another process of it has to push them (-cpu).
//
// What it does is the same at each run: a thread burns CPU until its own clock has gone on by so much, which is drawn with a seed, and waits for a while
// that is drawn as well. With equal steps the profiler's clock, 100 times a second, would meet one of them again and again, and another one never.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/grafana/pyroscope-go"
)

const (
	keptCount = 64
	keptBytes = 1 << 20
	// Many, so that they outnumber what the profilers themselves hold, which is some hundred objects and is not the same at both moments.
	smallCount  = 20_000
	smallBytes  = 512
	parkedCount = 80
	// Of the time, in a thread each.
	halfShare    = 0.3
	quarterShare = 0.15
)

var (
	name     = flag.String("name", "known.work", "the service under which it pushes")
	interval = flag.Duration("interval", 15*time.Second, "from one push to the next, and from one scrape to the next")
	work     = flag.Duration("work", time.Minute, "how long it works, if it gets the CPU")
	pushCPU  = flag.Bool("cpu", false, "push CPU profiles, and nothing else; without it all but CPU profiles")
)

var (
	sink []byte
	kept [][]byte
	lock sync.Mutex
)

// At the usual rate one sampled object of 100 bytes stands for 5,000, and totals differ by where an interval ends.
func init() { runtime.MemProfileRate = 16 << 10 }

func main() {
	flag.Parse()
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() { check(http.Serve(listener, http.HandlerFunc(answer))) }()
	fmt.Println("listening", listener.Addr())
	var server string
	_, err = fmt.Scanln(&server)
	check(err)
	pushing := start(server)
	for range parkedCount {
		go park()
	}
	keep()
	publishHeap()

	idle := *interval + 4*time.Second
	time.Sleep(idle)
	started := time.Now()
	done := doWork()
	ended := time.Now()
	publishHeap()
	if *pushCPU {
		pushing.Flush(true) // a window of its CPU profiles may last up to two intervals; without CPU profiles this would wait for ever
	}
	time.Sleep(idle)
	done["startedMs"], done["endedMs"] = float64(started.UnixMilli()), float64(ended.UnixMilli())
	fmt.Print("done ")
	check(json.NewEncoder(os.Stdout).Encode(done))
}

func answer(reply http.ResponseWriter, request *http.Request) {
	fmt.Println("asked", request.URL.Path)
	http.DefaultServeMux.ServeHTTP(reply, request)
}

func start(server string) *pyroscope.Profiler {
	types := []pyroscope.ProfileType{pyroscope.ProfileCPU}
	if !*pushCPU {
		types = []pyroscope.ProfileType{
			pyroscope.ProfileAllocObjects, pyroscope.ProfileAllocSpace, pyroscope.ProfileInuseObjects, pyroscope.ProfileInuseSpace, pyroscope.ProfileGoroutines,
			pyroscope.ProfileMutexCount, pyroscope.ProfileMutexDuration, pyroscope.ProfileBlockCount, pyroscope.ProfileBlockDuration,
		}
	}
	pushing, err := pyroscope.Start(pyroscope.Config{ApplicationName: *name, ServerAddress: server, UploadRate: *interval, ProfileTypes: types})
	check(err)
	return pushing
}

// doWork returns the seconds of CPU that each function burnt.
func doWork() map[string]float64 {
	var half, quarter float64
	var all sync.WaitGroup
	rounds := int(*work / (100 * time.Millisecond))
	all.Go(func() { half = share(rounds, halfShare, burnHalf, newPauses(1)) })
	all.Go(func() { quarter = share(rounds, quarterShare, burnQuarter, newPauses(2)) })
	all.Go(func() {
		pauses := newPauses(3)
		for range rounds {
			allocate(100)
			var two sync.WaitGroup
			two.Go(contend)
			two.Go(contend)
			two.Wait()
			signal := make(chan int)
			go func() {
				time.Sleep(3 * time.Millisecond)
				signal <- 1
			}()
			wait(signal)
			time.Sleep(pauses.next(80 * time.Millisecond))
		}
	})
	all.Wait()
	return map[string]float64{"burnHalf": half, "burnQuarter": quarter}
}

// share burns a share of 100 ms in each round, on a thread of its own, and returns how many seconds it burnt.
func share(rounds int, share float64, burn func(time.Duration), pauses pauses) float64 {
	runtime.LockOSThread()
	began := threadCPU()
	for range rounds {
		burn(pauses.next(time.Duration(share * float64(100*time.Millisecond))))
		time.Sleep(pauses.next(time.Duration((1 - share) * float64(100*time.Millisecond))))
	}
	return (threadCPU() - began).Seconds()
}

type pauses struct{ random *rand.Rand }

func newPauses(seed int64) pauses { return pauses{rand.New(rand.NewSource(seed))} }

// next draws a duration around the mean: from half of it to one and a half.
func (p pauses) next(mean time.Duration) time.Duration {
	return mean/2 + time.Duration(p.random.Int63n(int64(mean)))
}

//go:noinline
func burnHalf(cpu time.Duration) { spin(cpu) }

//go:noinline
func burnQuarter(cpu time.Duration) { spin(cpu) }

//go:noinline
func spin(cpu time.Duration) {
	x := uint64(1)
	for end := threadCPU() + cpu; threadCPU() < end; {
		for range 100_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	if x == 0 {
		fmt.Println(x)
	}
}

func threadCPU() time.Duration {
	const ofThread = 1 // RUSAGE_THREAD
	var usage syscall.Rusage
	check(syscall.Getrusage(ofThread, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

//go:noinline
func allocate(count int) {
	for range count {
		sink = make([]byte, 32768)
	}
}

//go:noinline
func keep() {
	for range keptCount {
		kept = append(kept, make([]byte, keptBytes))
	}
	for range smallCount {
		kept = append(kept, make([]byte, smallBytes))
	}
}

//go:noinline
func park() { select {} }

// publishHeap brings all that was allocated until now into heap profiles: they say what was when a collection began, once the next one has ended.
func publishHeap() {
	runtime.GC()
	runtime.GC()
}

//go:noinline
func contend() {
	lock.Lock()
	time.Sleep(2 * time.Millisecond)
	lock.Unlock()
}

//go:noinline
func wait(signal chan int) { <-signal }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
