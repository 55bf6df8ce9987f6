#!/usr/bin/env -S UV_THREADPOOL_SIZE=16 node
import "../dist/main.js";
