package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ollama/ollama/api"
)

const (
	// How long each caller waits, and what its head may take where heartbeats must bring it.
	waited    = 3 * time.Second
	headLimit = 2 * time.Second
)

// waiting are the checks of callers that wait for the slot: address of an ordinary foreman first,
// then of one that sends interim responses often.
func waiting(ordinary, interim *url.URL) []check {
	return []check{
		{"waits through heartbeats", func(ctx context.Context, _ *api.Client) error {
			transport := http.DefaultTransport.(*http.Transport).Clone()
			transport.ResponseHeaderTimeout = headLimit
			impatient := &http.Client{Transport: heartbeats{transport}}
			return answeredAfterWait(ctx, ordinary, api.NewClient(ordinary, impatient))
		}},
		{"waits through interim responses", func(ctx context.Context, _ *api.Client) error {
			var seen atomic.Int32
			trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
				seen.Add(1)
				return nil
			}}
			ctx = httptrace.WithClientTrace(ctx, trace)
			err := answeredAfterWait(ctx, interim, api.NewClient(interim, http.DefaultClient))
			if err == nil && seen.Load() < 2 {
				err = fmt.Errorf("%d interim responses", seen.Load())
			}
			return err
		}},
	}
}

// heartbeats asks for heartbeats in every request.
type heartbeats struct{ next http.RoundTripper }

func (h heartbeats) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("X-Foreman-Heartbeat", "1s")
	return h.next.RoundTrip(req)
}

// answeredAfterWait expects a client that waits for the slot to get what it gets without waiting.
func answeredAfterWait(ctx context.Context, base *url.URL, c *api.Client) error {
	var whole []string
	var err error
	if whole, err = chatPieces(ctx, c, words, unstream); err != nil {
		return err
	}
	release, err := holdSlot(ctx, api.NewClient(base, http.DefaultClient))
	if err != nil {
		return err
	}
	defer release()
	errs := make([]error, 2)
	var callers sync.WaitGroup
	for number, stream := range []*bool{unstream, nil} {
		callers.Add(1)
		go func() {
			defer callers.Done()
			pieces, err := chatPieces(ctx, c, words, stream)
			if err == nil && strings.Join(pieces, "") != strings.Join(whole, "") {
				err = fmt.Errorf("got %q instead of %q", pieces, whole)
			}
			errs[number] = err
		}()
	}
	time.Sleep(waited)
	release()
	callers.Wait()
	return errors.Join(errs...)
}

// holdSlot takes the slot with an answer that has no end, until it is released.
func holdSlot(ctx context.Context, c *api.Client) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	held, ended := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- c.Chat(ctx, request(chatModel, endless, nil), func(api.ChatResponse) error {
			once.Do(func() { close(held) })
			return nil
		})
	}()
	select {
	case <-held:
		return cancel, nil
	case err := <-ended:
		cancel()
		return nil, fmt.Errorf("the slot is not held: %w", err)
	}
}
