/** What both platforms load (`main` in package.json): each gets its own registration. Google names the function in FUNCTION_TARGET. */

if (process.env.FUNCTION_TARGET === undefined) await import('./azure.mjs');
else await import('./google.mjs');
