import type { Order } from "./arguments.js";

/** What a command is to do. */
export type Task = Extract<Order, { readonly kind: "command" }>;
