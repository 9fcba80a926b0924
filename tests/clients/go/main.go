// Runs the checks of Ollama's own Go client, the package that its command line is made of,
// in order, and prints one line for each.
package main

import (
	"context"
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

type check struct {
	title string
	run   func(context.Context, *api.Client) error
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: ollama-go URL")
		os.Exit(2)
	}
	base, err := url.Parse(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Printf("== %s %s\n", name, version())
	if !allPass(api.NewClient(base, http.DefaultClient)) {
		os.Exit(1)
	}
}

func allPass(client *api.Client) bool {
	passed := true
	for _, check := range checks {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := check.run(ctx, client)
		cancel()
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
