/** As much of a Playwright browser as is needed here. */
export interface BrowserLike {
  version(): string;
  newPage(): Promise<{
    goto(url: string): Promise<unknown>;
    evaluate(script: string): Promise<unknown>;
    on(event: 'console', listener: (message: { text(): string }) => void): unknown;
    on(event: 'crash', listener: () => void): unknown;
    close(): Promise<unknown>;
  }>;
  close(): Promise<unknown>;
}
