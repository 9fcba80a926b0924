package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ollama/ollama/api"
)

const (
	// The first tool offered is called with these arguments.
	callsTool = `stub:toolcall={"city":"Paris"} what is the weather`

	weatherTool = `[{"type": "function", "function": {
		"name": "weather",
		"description": "Tells the weather in a city",
		"parameters": {
			"type": "object",
			"properties": {"city": {"type": "string", "description": "The name of the city"}},
			"required": ["city"]
		}
	}}]`

	jsonSchema = `{
		"type": "object",
		"properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
		"required": ["city", "people"]
	}`
)

// city is what the models of the second target answer with, whatever they are asked.
type city struct {
	City   string `json:"city"`
	People int    `json:"people"`
}

// toolCall has a tool called both ways, then sends its result back.
func toolCall(ctx context.Context, c *api.Client) error {
	req := request(chatModel, callsTool, unstream)
	if err := json.Unmarshal([]byte(weatherTool), &req.Tools); err != nil {
		return err
	}
	message, err := called(ctx, c, req)
	if err != nil {
		return err
	}
	req.Stream = nil
	if _, err := called(ctx, c, req); err != nil {
		return fmt.Errorf("streamed: %w", err)
	}
	result := api.Message{Role: "tool", ToolName: "weather", Content: "sunny"}
	req.Messages = append(req.Messages, message, result, api.Message{Role: "user", Content: words})
	var answer strings.Builder
	err = c.Chat(ctx, req, func(part api.ChatResponse) error {
		_, err := answer.WriteString(part.Message.Content)
		return err
	})
	return errors.Join(err, expectEcho(answer.String(), words))
}

// called sends a request to which the answer must be one call of the tool; it returns that message.
func called(ctx context.Context, c *api.Client, req *api.ChatRequest) (api.Message, error) {
	var callers []api.Message
	err := c.Chat(ctx, req, func(part api.ChatResponse) error {
		if len(part.Message.ToolCalls) > 0 {
			callers = append(callers, part.Message)
		}
		return nil
	})
	if err != nil {
		return api.Message{}, err
	}
	if len(callers) != 1 || len(callers[0].ToolCalls) != 1 {
		return api.Message{}, fmt.Errorf("not one tool call: %v", callers)
	}
	call := callers[0].ToolCalls[0].Function
	where, ok := call.Arguments.Get("city")
	if call.Name != "weather" || !ok || where != "Paris" || call.Arguments.Len() != 1 {
		return api.Message{}, fmt.Errorf("called %s with %v", call.Name, call.Arguments)
	}
	return callers[0], nil
}

func structuredOutput(ctx context.Context, _ *api.Client) error {
	if jsonURL == "" {
		return skipped("no target that answers JSON")
	}
	base, err := url.Parse(jsonURL)
	if err != nil {
		return err
	}
	c := api.NewClient(base, http.DefaultClient)
	for _, format := range []string{`"json"`, jsonSchema} {
		for _, stream := range []*bool{unstream, nil} {
			if err := expectCity(ctx, c, json.RawMessage(format), stream); err != nil {
				return err
			}
		}
	}
	return nil
}

func expectCity(ctx context.Context, c *api.Client, format json.RawMessage, stream *bool) error {
	var answer strings.Builder
	req := request(chatModel, words, stream)
	req.Format = format
	err := c.Chat(ctx, req, func(part api.ChatResponse) error {
		_, err := answer.WriteString(part.Message.Content)
		return err
	})
	if err != nil {
		return err
	}
	var found city
	if err := json.Unmarshal([]byte(answer.String()), &found); err != nil {
		return fmt.Errorf("%q: %w", answer.String(), err)
	}
	if wanted := (city{City: "Paris", People: 2}); found != wanted {
		return fmt.Errorf("answered %v", found)
	}
	return nil
}
