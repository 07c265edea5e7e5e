package forge

// App is an app of GitHub.
type App struct{}
