// The peer of the store's no-op benchmark: River on its SQLite driver, on a file in WAL mode.
//
// It inserts jobs that do nothing, works them until each is committed as completed, and prints one JSON line with rates and
// the pragmas that were in force. README.md says why the settings are what they are.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	_ "modernc.org/sqlite"
)

type settings struct {
	jobs, batch, inserters, workers int
	fetchCooldown, pollInterval     time.Duration
	pollOnly                        bool
	insertSync, workSync            string
}

type noop struct {
	Number int `json:"number"`
}

func (noop) Kind() string { return "noop" }

type noopWorker struct {
	river.WorkerDefaults[noop]
}

func (*noopWorker) Work(context.Context, *river.Job[noop]) error { return nil }

// result is what one run measured; rates are jobs a second.
type result struct {
	Engine            string  `json:"engine"`
	Jobs              int     `json:"jobs"`
	Batch             int     `json:"batch"`
	Inserters         int     `json:"inserters"`
	InsertPerSecond   float64 `json:"insert_per_second"`
	WorkPerSecond     float64 `json:"work_per_second"`
	EndToEndPerSecond float64 `json:"end_to_end_per_second"`
	JournalMode       string  `json:"journal_mode"`
	InsertSynchronous string  `json:"insert_synchronous"`
	WorkSynchronous   string  `json:"work_synchronous"`
}

func main() {
	var s settings
	flag.IntVar(&s.jobs, "jobs", 20_000, "jobs to insert and work")
	flag.IntVar(&s.batch, "batch", 5_000, "jobs in one InsertMany; 1 inserts each by itself")
	flag.IntVar(&s.inserters, "inserters", 1, "goroutines that insert")
	flag.IntVar(&s.workers, "workers", 2_000, "MaxWorkers of the queue")
	flag.DurationVar(&s.fetchCooldown, "fetch-cooldown", 2*time.Millisecond, "FetchCooldown of the client")
	flag.DurationVar(&s.pollInterval, "fetch-poll-interval", 20*time.Millisecond, "FetchPollInterval of the client")
	flag.BoolVar(&s.pollOnly, "poll-only", false, "fetch by polling alone, without notifications")
	flag.StringVar(&s.insertSync, "insert-synchronous", "FULL", "PRAGMA synchronous while inserting: FULL or NORMAL")
	flag.StringVar(&s.workSync, "work-synchronous", "FULL", "PRAGMA synchronous while working: FULL or NORMAL")
	flag.Parse()
	measured, err := run(context.Background(), s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(measured); err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (measured result, err error) {
	folder, err := os.MkdirTemp("", "river-bench-")
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	// A file: in memory there would be nothing durable to compare.
	pool, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "river.db")+"?_pragma=journal_mode(WAL)")
	if err != nil {
		return result{}, err
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)

	driver := riversqlite.New(pool)
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: logger})
	if err != nil {
		return result{}, err
	}
	if _, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return result{}, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &noopWorker{})
	client, err := river.NewClient(driver, &river.Config{
		FetchCooldown:     s.fetchCooldown,
		FetchPollInterval: s.pollInterval,
		PollOnly:          s.pollOnly,
		Logger:            logger,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: s.workers}},
		Workers:           workers,
	})
	if err != nil {
		return result{}, err
	}

	measured = result{Engine: "river", Jobs: s.jobs, Batch: s.batch, Inserters: s.inserters}
	if measured.InsertSynchronous, err = setSynchronous(ctx, pool, s.insertSync); err != nil {
		return result{}, err
	}
	insertTime, err := insert(ctx, client, s)
	if err != nil {
		return result{}, err
	}
	if measured.WorkSynchronous, err = setSynchronous(ctx, pool, s.workSync); err != nil {
		return result{}, err
	}
	workTime, err := work(ctx, client, s.jobs)
	if err != nil {
		return result{}, err
	}
	if err = pool.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&measured.JournalMode); err != nil {
		return result{}, err
	}
	if err = checkAllCompleted(ctx, pool, s.jobs); err != nil {
		return result{}, err
	}
	jobs := float64(s.jobs)
	measured.InsertPerSecond = jobs / insertTime.Seconds()
	measured.WorkPerSecond = jobs / workTime.Seconds()
	measured.EndToEndPerSecond = jobs / (insertTime + workTime).Seconds()
	return measured, nil
}

// setSynchronous sets the pragma on the pool's only connection and returns what SQLite says is in force.
func setSynchronous(ctx context.Context, pool *sql.DB, mode string) (string, error) {
	names := map[int]string{0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
	if mode != "FULL" && mode != "NORMAL" {
		return "", fmt.Errorf("synchronous is %q; FULL and NORMAL are possible", mode)
	}
	if _, err := pool.ExecContext(ctx, "PRAGMA synchronous = "+mode); err != nil {
		return "", err
	}
	var value int
	if err := pool.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&value); err != nil {
		return "", err
	}
	return names[value], nil
}

// insert puts all jobs into the queue, shared out over the inserters, and returns the time it took.
func insert(ctx context.Context, client *river.Client[*sql.Tx], s settings) (time.Duration, error) {
	start := time.Now()
	failures := make(chan error, s.inserters)
	var group sync.WaitGroup
	for inserter := range s.inserters {
		from, to := s.jobs*inserter/s.inserters, s.jobs*(inserter+1)/s.inserters
		group.Go(func() { failures <- insertRange(ctx, client, from, to, s.batch) })
	}
	group.Wait()
	close(failures)
	var all error
	for failure := range failures {
		all = errors.Join(all, failure)
	}
	return time.Since(start), all
}

func insertRange(ctx context.Context, client *river.Client[*sql.Tx], from, to, batch int) error {
	if batch == 1 {
		for number := from; number < to; number++ {
			if _, err := client.Insert(ctx, noop{Number: number}, nil); err != nil {
				return err
			}
		}
		return nil
	}
	for number := from; number < to; number += batch {
		params := make([]river.InsertManyParams, 0, batch)
		for offset := range min(batch, to-number) {
			params = append(params, river.InsertManyParams{Args: noop{Number: number + offset}})
		}
		if _, err := client.InsertManyFast(ctx, params); err != nil {
			return err
		}
	}
	return nil
}

// work starts the client and returns the time until the last job was committed as completed. A subscription hears of a job
// after the completer wrote it, not when the worker function returned.
func work(ctx context.Context, client *river.Client[*sql.Tx], jobs int) (time.Duration, error) {
	events, unsubscribe := client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: jobs + 1,
		Kinds:    []river.EventKind{river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled},
	})
	defer unsubscribe()
	start := time.Now()
	if err := client.Start(ctx); err != nil {
		return 0, err
	}
	deadline := time.After(10 * time.Minute)
	for range jobs {
		select {
		case event := <-events:
			if event == nil || event.Kind != river.EventKindJobCompleted {
				return 0, fmt.Errorf("a no-op job did not complete: %+v", event)
			}
		case <-deadline:
			return 0, errors.New("the jobs were not worked within 10 minutes")
		}
	}
	elapsed := time.Since(start)
	stop, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return elapsed, client.Stop(stop)
}

func checkAllCompleted(ctx context.Context, pool *sql.DB, jobs int) error {
	var completed int
	query := "SELECT count(*) FROM river_job WHERE state = ?"
	if err := pool.QueryRowContext(ctx, query, string(rivertype.JobStateCompleted)).Scan(&completed); err != nil {
		return err
	}
	if completed != jobs {
		return fmt.Errorf("%d of %d jobs stand as completed in the database", completed, jobs)
	}
	return nil
}
