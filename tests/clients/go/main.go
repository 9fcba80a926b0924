// Runs the checks of Ollama's own Go client, the package that its command line is made of,
// in order, and prints one line for each.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
)

const (
	name   = "ollama-go"
	module = "github.com/ollama/ollama"
	// So that a hang is the failure of one check.
	patience = 30 * time.Second
)

// jsonURL is where every answer is JSON; empty: nowhere.
var jsonURL string

type check struct {
	title string
	run   func(context.Context, *api.Client) error
}

// skipped says why a check cannot be made here.
type skipped string

func (s skipped) Error() string { return string(s) }

func main() {
	client, checks, err := arguments(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Printf("== %s %s\n", name, version())
	if !allPass(client, checks) {
		os.Exit(1)
	}
}

func arguments(words []string) (*api.Client, []check, error) {
	isWaiting := len(words) > 0 && words[0] == "waiting"
	if isWaiting {
		words = words[1:]
	}
	if len(words) == 0 || len(words) > 2 || (isWaiting && len(words) != 2) {
		return nil, nil, errors.New("usage: ollama-go URL [JSON_URL] | ollama-go waiting URL INTERIM_URL")
	}
	base, err := url.Parse(words[0])
	if err != nil {
		return nil, nil, err
	}
	client := api.NewClient(base, http.DefaultClient)
	if isWaiting {
		interim, err := url.Parse(words[1])
		return client, waiting(base, interim), err
	}
	if len(words) == 2 {
		jsonURL = words[1]
	}
	return client, checks, nil
}

func allPass(client *api.Client, checks []check) bool {
	passed := true
	for _, check := range checks {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := check.run(ctx, client)
		cancel()
		if reason := skipped(""); errors.As(err, &reason) {
			fmt.Printf("SKIP %s: %s (%s)\n", name, check.title, reason)
			continue
		}
		if err != nil {
			passed = false
			reason := strings.Join(strings.Fields(err.Error()), " ")
			fmt.Printf("FAIL %s: %s (%s)\n", name, check.title, reason)
			continue
		}
		fmt.Printf("ok %s: %s\n", name, check.title)
	}
	return passed
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}
