// Command semaphore-load has contenders take turns in Consul's own Go semaphore, in the way that the
// benchmark's other programs do: it says "ready", reads when to start (milliseconds since 1970),
// and in the end prints its report, a line of JSON.
//
// With -fleet each contender has a client of its own, and turns that are under way when the time is
// over are reported unfinished: with hundreds of clients it would take minutes to finish them.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io/ioutil"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
)

// A turn is when it was asked for, when it began and when it was over, in milliseconds since the
// start, and nothing for a fencing token, which the original does not have.
type turn [4]*float64

type report struct {
	Turns        []turn  `json:"turns"`
	CPUMs        float64 `json:"cpuMs"`
	PeakRSSBytes int64   `json:"peakRssBytes"`
}

// A fleetTurn says when a slot was asked for, when it was held, when its release began and when it was
// released, in milliseconds since the start. What has not happened is null.
type fleetTurn struct {
	Asked     float64  `json:"asked"`
	Held      *float64 `json:"held"`
	Releasing *float64 `json:"releasing"`
	Released  *float64 `json:"released"`
}

type fleetReport struct {
	Clients [][]*fleetTurn `json:"clients"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func cpuMs() float64 {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e6
}

// The kernel's other figure, of getrusage, begins with what the process had that started this one.
func peakRSSBytes() int64 {
	status, err := ioutil.ReadFile("/proc/self/status")
	must(err)
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			must(err)
			return kilobytes * 1024
		}
	}
	return 0
}

func newClient(address string) *api.Client {
	// Each default configuration has a transport of its own, and so connections of its own.
	config := api.DefaultConfig()
	config.Address = address
	client, err := api.NewClient(config)
	must(err)
	return client
}

// runFleet has the semaphores take turns until the time is over.
func runFleet(semaphores []*api.Semaphore, hold time.Duration, since func() *float64, to time.Time) fleetReport {
	var mutex sync.Mutex
	clients := make([][]*fleetTurn, len(semaphores))
	stamp := func(moment **float64) {
		mutex.Lock()
		defer mutex.Unlock()
		*moment = since()
	}
	for i := range semaphores {
		go func(semaphore *api.Semaphore, turns *[]*fleetTurn) {
			for {
				turn := &fleetTurn{Asked: *since()}
				mutex.Lock()
				*turns = append(*turns, turn)
				mutex.Unlock()
				_, err := semaphore.Acquire(nil)
				must(err)
				stamp(&turn.Held)
				if hold > 0 {
					time.Sleep(hold)
				}
				stamp(&turn.Releasing)
				must(semaphore.Release())
				stamp(&turn.Released)
			}
		}(semaphores[i], &clients[i])
	}
	time.Sleep(time.Until(to))
	// It stays locked: nothing changes any more.
	mutex.Lock()
	return fleetReport{Clients: clients}
}

func main() {
	address := flag.String("address", "", "where Consul serves")
	prefix := flag.String("prefix", "", "the semaphore's prefix")
	limit := flag.Int("limit", 1, "how many may hold a slot at a time")
	contenders := flag.Int("contenders", 1, "how many contend in this process")
	hold := flag.Int("hold", 0, "how long each holds its slot, in ms")
	warmUp := flag.Int("warm-up", 0, "ms before the measured time")
	measure := flag.Int("measure", 0, "ms of measured time")
	fleet := flag.Bool("fleet", false, "each contender has a client of its own")
	flag.Parse()

	client := newClient(*address)

	input := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	line, err := input.ReadString('\n')
	must(err)
	startMs, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	must(err)
	go func() {
		// Without the benchmark there is nobody to report to.
		_, _ = input.ReadString('\n')
		os.Exit(1)
	}()

	start := time.Unix(0, int64(startMs*1e6))
	time.Sleep(time.Until(start))
	since := func() *float64 {
		ms := float64(time.Since(start).Nanoseconds()) / 1e6
		return &ms
	}
	from := start.Add(time.Duration(*warmUp) * time.Millisecond)
	to := from.Add(time.Duration(*measure) * time.Millisecond)

	if *fleet {
		semaphores := make([]*api.Semaphore, *contenders)
		for i := range semaphores {
			semaphores[i], err = newClient(*address).SemaphorePrefix(*prefix, *limit)
			must(err)
		}
		must(json.NewEncoder(os.Stdout).Encode(runFleet(semaphores, time.Duration(*hold)*time.Millisecond, since, to)))
		return
	}

	var cpu float64
	measured := make(chan struct{})
	go func() {
		time.Sleep(time.Until(from))
		before := cpuMs()
		time.Sleep(time.Until(to))
		cpu = cpuMs() - before
		close(measured)
	}()

	turns := make([][]turn, *contenders)
	var all sync.WaitGroup
	for i := range turns {
		all.Add(1)
		go func(own *[]turn) {
			defer all.Done()
			semaphore, err := client.SemaphorePrefix(*prefix, *limit)
			must(err)
			for time.Now().Before(to) {
				asked := since()
				_, err := semaphore.Acquire(nil)
				must(err)
				began := since()
				if *hold > 0 {
					time.Sleep(time.Duration(*hold) * time.Millisecond)
				}
				must(semaphore.Release())
				*own = append(*own, turn{asked, began, since(), nil})
			}
		}(&turns[i])
	}
	all.Wait()
	<-measured

	done := report{CPUMs: cpu, PeakRSSBytes: peakRSSBytes(), Turns: []turn{}}
	for _, own := range turns {
		done.Turns = append(done.Turns, own...)
	}
	must(json.NewEncoder(os.Stdout).Encode(done))
}
