// The terminal and its looks in one piece of their own, which only pages with logs fetch.

import "@xterm/xterm/css/xterm.css";

export { FitAddon } from "@xterm/addon-fit";
export { Terminal } from "@xterm/xterm";
