package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/ollama/ollama/api"
)

const (
	chatModel    = "llama3.2:1b"
	embedModel   = "all-minilm:latest"
	missingModel = "no-such-model:1b"

	words = "the quick brown fox jumps"
	// Longer than any check may last: only a cancelled stream lets the next caller in.
	endless    = "stub:tokens=100000 stub:pace=20ms"
	concurrent = 20
)

var (
	allModels = []string{"llama3.2:1b", "qwen3:0.6b", "gemma3:270m", "all-minilm:latest"}
	unstream  = new(bool)
)

var checks = []check{
	{"heartbeat and version", heartbeatAndVersion},
	{"chat", chat},
	{"chat streamed", chatStreamed},
	{"tool call", toolCall},
	{"structured output", structuredOutput},
	{"generate", generate},
	{"generate streamed", generateStreamed},
	{"load only", loadOnly},
	{"list models", listModels},
	{"show", show},
	{"ps", ps},
	{"embed", embed},
	{"embeddings of one prompt", embeddingsOfOnePrompt},
	{"unknown model is a StatusError 404", unknownModel},
	{"20 concurrent chats get their own answers", concurrentChats},
	{"cancel in mid-stream, then chat", cancelInMidStream},
}

func request(model, text string, stream *bool) *api.ChatRequest {
	messages := []api.Message{{Role: "user", Content: text}}
	return &api.ChatRequest{Model: model, Messages: messages, Stream: stream}
}

// chatPieces returns the pieces of the answer; only the last one may be final, and must be.
func chatPieces(ctx context.Context, c *api.Client, text string, stream *bool) ([]string, error) {
	var pieces []string
	done := false
	err := c.Chat(ctx, request(chatModel, text, stream), func(part api.ChatResponse) error {
		if done {
			return errors.New("a piece after the final one")
		}
		pieces, done = append(pieces, part.Message.Content), part.Done
		return nil
	})
	if err == nil && !done {
		err = errors.New("the last piece is not the final one")
	}
	return pieces, err
}

// generatePieces does for a prompt what chatPieces does for a conversation.
func generatePieces(ctx context.Context, c *api.Client, prompt string, stream *bool) ([]string, error) {
	var pieces []string
	done := false
	req := &api.GenerateRequest{Model: chatModel, Prompt: prompt, Stream: stream}
	err := c.Generate(ctx, req, func(part api.GenerateResponse) error {
		if done {
			return errors.New("a piece after the final one")
		}
		pieces, done = append(pieces, part.Response), part.Done
		return nil
	})
	if err == nil && !done {
		err = errors.New("the last piece is not the final one")
	}
	return pieces, err
}

func expectWhole(pieces []string, err error) error {
	if err != nil {
		return err
	}
	if len(pieces) != 1 {
		return fmt.Errorf("%d pieces, not streamed", len(pieces))
	}
	return expectEcho(pieces[0], words)
}

func expectPieces(pieces, whole []string, errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(pieces) < 3 {
		return fmt.Errorf("only %d pieces", len(pieces))
	}
	if joined := strings.Join(pieces, ""); joined != strings.Join(whole, "") {
		return fmt.Errorf("streamed %q, unstreamed %q", joined, whole)
	}
	return nil
}

func expectEcho(answer, prompt string) error {
	if !strings.Contains(answer, prompt) {
		return fmt.Errorf("%q is not in %q", prompt, answer)
	}
	return nil
}

func expectNames(names []string, wanted ...string) error {
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%s is not in %v", name, names)
		}
	}
	return nil
}

func expectNotFound(err error) error {
	var status api.StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("no StatusError: %v", err)
	}
	if status.StatusCode != http.StatusNotFound || !strings.Contains(status.ErrorMessage, "not found") {
		return fmt.Errorf("status %d, %q", status.StatusCode, status.ErrorMessage)
	}
	return nil
}

func heartbeatAndVersion(ctx context.Context, c *api.Client) error {
	if err := c.Heartbeat(ctx); err != nil {
		return err
	}
	version, err := c.Version(ctx)
	if err == nil && version == "" {
		err = errors.New("no version")
	}
	return err
}

func chat(ctx context.Context, c *api.Client) error {
	return expectWhole(chatPieces(ctx, c, words, unstream))
}

func chatStreamed(ctx context.Context, c *api.Client) error {
	whole, wholeErr := chatPieces(ctx, c, words, unstream)
	pieces, err := chatPieces(ctx, c, words, nil)
	return expectPieces(pieces, whole, wholeErr, err)
}

func generate(ctx context.Context, c *api.Client) error {
	return expectWhole(generatePieces(ctx, c, words, unstream))
}

func generateStreamed(ctx context.Context, c *api.Client) error {
	whole, wholeErr := generatePieces(ctx, c, words, unstream)
	pieces, err := generatePieces(ctx, c, words, nil)
	return expectPieces(pieces, whole, wholeErr, err)
}

// loadOnly is what `ollama run` begins with.
func loadOnly(ctx context.Context, c *api.Client) error {
	pieces, err := generatePieces(ctx, c, "", nil)
	if err == nil && strings.Join(pieces, "") != "" {
		err = fmt.Errorf("a load gave %q", pieces)
	}
	return err
}

func listModels(ctx context.Context, c *api.Client) error {
	list, err := c.List(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, model := range list.Models {
		if model.Size == 0 || model.Digest == "" || model.ModifiedAt.IsZero() {
			return fmt.Errorf("a blank row: %+v", model)
		}
		names = append(names, model.Name)
	}
	return expectNames(names, allModels...)
}

func show(ctx context.Context, c *api.Client) error {
	model, err := c.Show(ctx, &api.ShowRequest{Model: chatModel})
	if err != nil {
		return err
	}
	if !slices.Contains(model.Capabilities, "completion") {
		return fmt.Errorf("capabilities %v", model.Capabilities)
	}
	for key := range model.ModelInfo {
		if strings.HasSuffix(key, ".context_length") {
			return nil
		}
	}
	return errors.New("no context length")
}

func ps(ctx context.Context, c *api.Client) error {
	if _, err := chatPieces(ctx, c, words, unstream); err != nil {
		return err
	}
	running, err := c.ListRunning(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, model := range running.Models {
		names = append(names, model.Name)
	}
	return expectNames(names, chatModel)
}

func embed(ctx context.Context, c *api.Client) error {
	input := []string{"one", "two", "one"}
	reply, err := c.Embed(ctx, &api.EmbedRequest{Model: embedModel, Input: input})
	if err != nil {
		return err
	}
	vectors := reply.Embeddings
	if len(vectors) != len(input) || len(vectors[0]) == 0 || len(vectors[1]) != len(vectors[0]) {
		return fmt.Errorf("%d vectors of unlike sizes or none", len(vectors))
	}
	if !slices.Equal(vectors[0], vectors[2]) || slices.Equal(vectors[0], vectors[1]) {
		return errors.New("the vectors do not follow the texts")
	}
	return nil
}

func embeddingsOfOnePrompt(ctx context.Context, c *api.Client) error {
	reply, err := c.Embeddings(ctx, &api.EmbeddingRequest{Model: embedModel, Prompt: "one"})
	if err == nil && len(reply.Embedding) == 0 {
		err = errors.New("an empty vector")
	}
	return err
}

func unknownModel(ctx context.Context, c *api.Client) error {
	ignore := func(api.ChatResponse) error { return nil }
	_, showErr := c.Show(ctx, &api.ShowRequest{Model: missingModel})
	return errors.Join(
		expectNotFound(c.Chat(ctx, request(missingModel, words, unstream), ignore)),
		expectNotFound(c.Chat(ctx, request(missingModel, words, nil), ignore)),
		expectNotFound(showErr),
	)
}

func concurrentChats(ctx context.Context, c *api.Client) error {
	errs := make([]error, concurrent)
	var callers sync.WaitGroup
	for number := range concurrent {
		callers.Add(1)
		go func() {
			defer callers.Done()
			prompt := fmt.Sprintf("caller%02d speaks", number)
			var stream *bool
			if number%2 == 0 {
				stream = unstream
			}
			pieces, err := chatPieces(ctx, c, prompt, stream)
			answer := strings.Join(pieces, "")
			if err == nil && strings.Count(answer, "caller") != 1 {
				err = fmt.Errorf("other callers' words in %q", answer)
			}
			errs[number] = errors.Join(err, expectEcho(answer, prompt))
		}()
	}
	callers.Wait()
	return errors.Join(errs...)
}

func cancelInMidStream(ctx context.Context, c *api.Client) error {
	streaming, cancel := context.WithCancel(ctx)
	defer cancel()
	enough := errors.New("enough")
	pieces := 0
	err := c.Chat(streaming, request(chatModel, endless, nil), func(api.ChatResponse) error {
		pieces++
		if pieces < 2 {
			return nil
		}
		cancel()
		return enough
	})
	if !errors.Is(err, enough) {
		return fmt.Errorf("cancelled, and it ended with %v", err)
	}
	return expectWhole(chatPieces(ctx, c, words, unstream))
}
