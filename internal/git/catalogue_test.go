package git_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// gitStates are the git states of the catalogue of bad input, in its order, each with
// the tests that hold it: a room, and functions of it. Those of TestTheVerdictInEachState are
// rows of states().
func gitStates() []struct {
	number int
	words  string
	tests  []string
} {
	type row = struct {
		number int
		words  string
		tests  []string
	}
	const (
		here   = "internal/git TestTheVerdictInEachState"
		forged = "internal/signature TestWhatIsNoSignedCommit"
	)
	return []row{
		{85, "empty repo", []string{here, "internal/git TestABranchThatIsMissingIsNamedWithThoseThereAre", "internal/git/wire TestABranchThatIsNotThereIsToldWithThoseThatAre"}},
		{86, "branch renamed or deleted", []string{here, "internal/git TestABranchThatIsMissingIsNamedWithThoseThereAre", "internal/git/wire TestABranchThatIsNotThereIsToldWithThoseThatAre"}},
		{87, "HEAD detached or unborn", []string{here}},
		{88, "rewind by force", []string{"internal/git TestWhereABranchMayNotGo", "internal/admission TestWhichCommitIsAdmitted", "cmd/reconciler TestABranchOnlyMovesForward"}},
		{89, "unrelated history", []string{"internal/git TestWhereABranchMayNotGo", "internal/admission TestWhichCommitIsAdmitted"}},
		{90, "shallow remote", []string{"internal/git TestRepositoriesOfEveryKindAreRead", "internal/git TestAServerWhoseHistoryIsCutIsRefused"}},
		{91, "one huge blob", []string{here, "internal/git TestABombIsNotSetOff", "internal/git TestAPackHasALimit", "internal/git TestWhatAFleetRepoMayNotHoldIsNamed"}},
		{92, "a million refs", []string{"internal/git/wire TestAListOfRefsHasAnEnd", "internal/git/wire TestAnUnchangedBranchCostsOneSmallRequest", "internal/git/wire TestWhatComesBesideAPackHasAnEnd"}},
		{93, "names of refs", []string{here, "internal/git/wire TestNamesOfRefsAreWordsAlone", "internal/git TestRemotesThatCannotBeAreRefusedAtOnce"}},
		{94, "symbolic links", []string{here, "internal/git TestWhatAFleetRepoMayNotHoldIsNamed"}},
		{95, "submodule", []string{here, "internal/git TestWhatAFleetRepoMayNotHoldIsNamed"}},
		{96, "git's own folder, in disguise", []string{here, "internal/git TestTreesThatGitWouldNotWriteAreRefused", "internal/git TestATreeThatGitWouldNotWriteIsNotMerged"}},
		{97, "backslash, drive, blank at the end", []string{here, "pkg/desired TestInvalid"}},
		{98, "names that differ in case", []string{here, "internal/git TestWhatAFleetRepoMayNotHoldIsNamed", "pkg/desired TestInvalid"}},
		{99, "NFC and NFD", []string{here, "pkg/desired TestInvalid"}},
		{100, "attributes, filters, LFS", []string{here, "internal/git TestALFSPointerIsNotTheFile"}},
		{101, "entries twice or not in order", []string{here, "internal/git TestTreesThatGitWouldNotWriteAreRefused"}},
		{102, "two tree headers", []string{here, forged}},
		{103, "two signatures, or one in the wrong place", []string{forged, "internal/signature TestASignatureCanHideAParentFromGit", "internal/signature TestWhatIsNoSSHSignature"}},
		{104, "signature of another commit", []string{forged}},
		{105, "key expired, revoked, of another namespace, of somebody who left", []string{"internal/signature TestWhoseSSHSignatureCounts", "internal/signature TestWhoseOpenPGPSignatureCounts",
			"internal/signature TestWhatIsNoSSHSignature", "cmd/reconciler TestOnlySignedCommitsAreFollowed"}},
		{106, "dates", []string{"internal/git TestACommitOfAnyDateIsRead", forged, "internal/signature TestWhoseSSHSignatureCounts"}},
		{107, "author with a line break", []string{here, forged, "internal/git TestACommitIsDescribedInPlainText"}},
		{108, "replaced objects, grafts, alternates", []string{here, "internal/git TestRepositoriesOfEveryKindAreRead"}},
		{109, "corrupt pack or index, cut off, delta bomb", []string{"internal/git TestEveryFlippedByteOfAPackIsFoundOrHarmless", "internal/git TestADamagedCloneIsMadeAnewByTheNextFetch",
			"internal/git TestADamagedRemoteChangesNothingHere", "internal/git TestWhatAServerSendsIsLookedAtBeforeItIsTaken", "internal/git TestABombIsNotSetOff"}},
		{110, "SHA-1 collision", []string{"internal/git TestTwoContentsOfOneHashAreTold", "internal/git TestASwappedObjectIsFoundByItsHash"}},
		{111, "redirect to another host", []string{"internal/git/wire TestALoginIsReadForEachRequestAndGoesNowhereElse", "internal/git/wire TestARedirectIsForOneConversation"}},
		{112, "no, busy, broken, silent, slow", []string{"internal/git/wire TestWhatServersSayInsteadIsTold", "internal/git/wire TestHowLongABusyServerAsksForIsBounded",
			"internal/git/wire TestSilenceEnds", "internal/git TestAServerThatIsNeverSilentEndsToo"}},
		{113, "TLS expired or of another CA", []string{"internal/git/wire TestACertificateHasToBeGoodNow", "cmd/reconciler TestARepoIsFollowedWhereverItIsServed"}},
		{114, "SSH host key changed", []string{"internal/ssh TestConnectSaysInWhichPhaseItFailed", "cmd/reconciler TestARepoIsFollowedWhereverItIsServed"}},
		{115, "server that lies about the branch", []string{"internal/git TestWhereABranchMayNotGo", "cmd/reconciler TestABranchOnlyMovesForward"}},
		{116, "tags of tags", []string{here, "internal/git TestTagsOfTagsAreNotFollowed"}},
		{117, "merge of an unsigned parent", []string{"internal/git TestWhereABranchMayNotGo"}},
		{118, "two million paths", []string{"internal/git TestTooManyFilesAreRefused"}},
		{119, "our clone after a power cut, with locks, of another owner, read-only", []string{"internal/git TestAMissingObjectIsAnErrorAndNeverAnEmptyFolder", "internal/git TestADamagedCloneIsMadeAnewByTheNextFetch",
			"internal/git TestWhatLiesAboutInACloneStopsNobody", "internal/git TestWhatTheMachineDoesNotLetUsReadIsNotTheCommitsFault"}},
	}
}

func TestEveryGitStateOfTheCatalogueHasATest(t *testing.T) {
	rows := map[int]bool{}
	for _, s := range states() {
		rows[s.number] = true
	}
	known := map[string]map[string]bool{} // by room
	next := 85
	for _, s := range gitStates() {
		if s.number != next || len(s.tests) == 0 {
			t.Errorf("%d %s stands where %d belongs, with %d tests", s.number, s.words, next, len(s.tests))
		}
		next = s.number + 1
		listed := false
		for _, test := range s.tests {
			room, name, _ := strings.Cut(test, " ")
			if known[room] == nil {
				known[room] = testsOf(t, room)
			}
			if !known[room][name] {
				t.Errorf("%d %s: %s has no %s", s.number, s.words, room, name)
			}
			listed = listed || name == "TestTheVerdictInEachState"
		}
		if listed != rows[s.number] {
			t.Errorf("%d %s: rows in states(): %v, said here: %v", s.number, s.words, rows[s.number], listed)
		}
	}
	if next != 120 {
		t.Errorf("it ends before %d", next)
	}
}

// testsOf are the tests of a room.
func testsOf(t *testing.T, room string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", room, "*_test.go"))
	must(t, err)
	found := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		must(t, err)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}
