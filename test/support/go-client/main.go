// Reads and writes by managed identity alone, as agent-client.mjs does, with Azure's library for Go.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

var kind = os.Args[1]
var container = strings.TrimSuffix(os.Getenv("AZURE_STORAGE_BLOB_ENDPOINT"), "/") + "/data"

func main() {
	credential, err := azidentity.NewManagedIdentityCredential(nil)
	check(err)
	fmt.Println("first", once(credential, "one"))
	fmt.Println("ready")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	fmt.Println("second", once(credential, "two"))
}

var listed = regexp.MustCompile(`<Name>([^<]*)</Name>`)

func once(credential *azidentity.ManagedIdentityCredential, text string) string {
	scopes := policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}}
	token, err := credential.GetToken(context.Background(), scopes)
	check(err)
	blob := container + "/" + kind + "/file.txt"
	call("PUT", blob, token.Token, text)
	names := call("GET", container+"?restype=container&comp=list&prefix="+kind+"/", token.Token, "")
	return listed.FindStringSubmatch(names)[1] + " " + call("GET", blob, token.Token, "")
}

func call(method, url, token, body string) string {
	request, err := http.NewRequest(method, url, bytes.NewBufferString(body))
	check(err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("x-ms-version", "2025-05-05")
	if method == "PUT" {
		request.Header.Set("x-ms-blob-type", "BlockBlob")
	}
	answer, err := http.DefaultClient.Do(request)
	check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(err)
	if answer.StatusCode >= 300 {
		check(fmt.Errorf("%s %s: %s %s", method, url, answer.Status, text))
	}
	return string(text)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
