"""Static folder with a page that finds and labels faces in the browser: any web server can host it."""
