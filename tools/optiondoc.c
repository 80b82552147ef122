/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/vmmctl/verbs.h"
#include "vmm/cli.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/*
 * Runs at build time only:
 *   optiondoc man FILE   the man page FILE with the options in place of its
 *                        marker, on stdout
 *   optiondoc bash       a completion script for bash, on stdout
 *   optiondoc ctl-man FILE, ctl-bash   the same of vmmctl and its verbs
 */

#define DOC_OPTIONS ".\\\" @OPTIONS@\n"
#define DOC_VERBS ".\\\" @VERBS@\n"
#define DOC_WIDTH 76

/* ---- man page (mdoc) ---- */

/* One word of text; `first` on its line, where '.' and "'" would be a macro. */
static void doc_man_word(const char *word, size_t len, bool first)
{
	if (first && (*word == '.' || *word == '\''))
		fputs("\\&", stdout);
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			fputs("\\e", stdout);
		else if (word[i] == '-' && (i == 0 || word[i - 1] == '-'))
			fputs("\\-", stdout);
		else
			putchar(word[i]);
	}
}

/* Text, wrapped; a sentence starts its own line. */
static void doc_man_text(const char *text)
{
	size_t col = 0;

	while (*text) {
		size_t len = strcspn(text, " ");
		bool ends = len > 1 && text[len - 1] == '.';

		if (col && col + len > DOC_WIDTH) {
			putchar('\n');
			col = 0;
		}
		if (col)
			putchar(' ');
		doc_man_word(text, len, col == 0);
		col += len + 1;
		text += len;
		text += strspn(text, " ");
		if (ends && *text) {
			putchar('\n');
			col = 0;
		}
	}
	putchar('\n');
}

/* A help line as a sentence. */
static void doc_man_sentence(const char *help)
{
	char text[512];

	if (!help || !*help)
		return;
	snprintf(text, sizeof(text), "%s.", help);
	text[0] = (char)toupper((unsigned char)text[0]);
	doc_man_text(text);
}

static void doc_man_limits(const struct param *p)
{
	bool unit = p->type == PARAM_UINT && p->unit;
	char range[128], def[64];

	param_range_text(p, range, sizeof(range));
	if (*range)
		printf("It must be %s.\n", range);
	if (p->type == PARAM_STRING && p->max)
		printf("It has at most %llu bytes.\n",
		       (unsigned long long)p->max);
	param_default_text(p, def, sizeof(def));
	if (*def)
		printf("The default is %s%s%s.\n", def, unit ? " " : "",
		       unit ? p->unit : "");
	if (p->required)
		puts("It must be given.");
}

static void doc_man_key(const struct param_set *set, const struct param *p)
{
	char value[192];

	param_value_text(p, value, sizeof(value));
	printf(".It Cm %s Ns = Ns Ar \"%s\"\n", p->name, value);
	doc_man_sentence(p->help);
	doc_man_limits(p);
	if (p == param_find(set, set->shorthand))
		puts("This is the main key.");
}

static void doc_man_option(const struct cli_option *opt, void *arg)
{
	const char **group = arg;
	char value[192];

	if (!*group || strcmp(*group, opt->group) != 0) {
		if (*group)
			puts(".El");
		printf(".Ss %s\n.Bl -tag -width Ds\n", opt->group);
	}
	*group = opt->group;
	cli_value_text(opt, value, sizeof(value));
	printf(".It ");
	if (opt->letter)
		printf("Fl %c , ", opt->letter);
	printf("Fl -%s", opt->name);
	if (*value)
		printf(" Ar \"%s\"", value);
	putchar('\n');
	doc_man_sentence(opt->help);
	if (opt->param)
		doc_man_limits(opt->param);
	if (opt->more)
		doc_man_text(opt->more);
	if (opt->repeats)
		puts("May be given several times.");
	if (opt->set) {
		puts("The keys are:\n.Bl -tag -width Ds");
		for (unsigned int i = 0; i < opt->set->nr_params; i++)
			doc_man_key(opt->set, &opt->set->params[i]);
		puts(".El");
	}
}

static void doc_man_options(void)
{
	const char *group = NULL;

	cli_options_visit(doc_man_option, &group);
	puts(".El");
}

static void doc_man_verb(const struct verb *v)
{
	char args[192];

	verbs_args_text(v, args, sizeof(args));
	printf(".It Cm %s", v->name);
	if (*args)
		printf(" Ar \"%s\"", args);
	putchar('\n');
	doc_man_sentence(v->help);
	if (v->more)
		doc_man_text(v->more);
	if (v->class)
		printf("The keys are those of\n.Fl -%s\nin\n.Xr vmm 1 .\n",
		       v->class->option);
	if (!v->set)
		return;
	puts(".Bl -tag -width Ds");
	for (unsigned int i = 0; i < v->set->nr_params; i++) {
		const struct param *p = &v->set->params[i];

		param_value_text(p, args, sizeof(args));
		printf(".It Fl -%s Ar \"%s\"\n", p->name, args);
		doc_man_sentence(p->help);
	}
	puts(".El");
}

static void doc_man_verbs(void)
{
	for (const struct verb *v = verbs_all(); v->name; v++)
		doc_man_verb(v);
}

/* FILE with what put() prints in place of the line marker. */
static int doc_man(const char *path, const char *marker, void (*put)(void))
{
	FILE *in = fopen(path, "re");
	bool found = false;
	char line[1024];

	if (!in) {
		perror(path);
		return 1;
	}
	while (fgets(line, sizeof(line), in)) {
		if (strcmp(line, marker) != 0) {
			fputs(line, stdout);
			continue;
		}
		found = true;
		put();
	}
	fclose(in);
	if (!found)
		fprintf(stderr, "%s: has no line %s", path, marker);
	return found ? 0 : 1;
}

/* ---- bash completion ---- */

static const char doc_bash_head[] =
	"# bash completion for vmm(1), made from the program's option tables\n"
	"# SPDX-License-Identifier: Apache-2.0\n"
	"\n"
	"# What may stand behind option $1 and key $2 (none yet: empty). Sets\n"
	"# list (words), files (anything: file names, too), keys, many (takes\n"
	"# more than one word).\n"
	"_vmm_values()\n"
	"{\n"
	"\tlist= files= keys= many=\n"
	"\tcase \"$1\" in\n";

static const char doc_bash_middle[] = "\t*)\n"
				      "\t\treturn 1 ;;\n"
				      "\tesac\n"
				      "\tcase \"$1 $2\" in\n";

static const char doc_bash_options[] = "\tesac\n"
				       "}\n"
				       "\n";

static const char doc_bash_tail[] =
	"# $1: end of a word that is being typed, $2: what stays in front of "
	"it,\n"
	"# $3: how much of that the shell has already taken for other words.\n"
	"_vmm_reply()\n"
	"{\n"
	"\tlocal r IFS=$'\\n'\n"
	"\tif [[ $files ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -f -- \"$1\"))\n"
	"\tfi\n"
	"\tif [[ ${COMPREPLY[0]} ]]; then\n"
	"\t\tcompopt -o filenames 2>/dev/null\n"
	"\telse\n"
	"\t\tIFS=$' \\n'\n"
	"\t\tCOMPREPLY=($(compgen -W \"$list\" -- \"$1\"))\n"
	"\tfi\n"
	"\tfor r in \"${!COMPREPLY[@]}\"; do\n"
	"\t\tCOMPREPLY[r]=$2${COMPREPLY[r]}\n"
	"\t\tCOMPREPLY[r]=${COMPREPLY[r]#\"$3\"}\n"
	"\tdone\n"
	"\tif [[ ${COMPREPLY[0]} == *= ]]; then\n"
	"\t\tcompopt -o nospace 2>/dev/null\n"
	"\tfi\n"
	"}\n"
	"\n"
	"_vmm()\n"
	"{\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} word opt= head= item key= n=0\n"
	"\tlocal w taken list files keys many\n"
	"\tlocal -a before\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tword=${line##*[[:blank:]]}\n"
	"\ttaken=${word%\"${word##*[=:]}\"}\n"
	"\tread -ra before <<<\"${line%\"$word\"}\"\n"
	"\tfor w in \"${before[@]:1}\"; do\n"
	"\t\tif [[ $w == -* ]]; then\n"
	"\t\t\topt=${w%%=*} n=0\n"
	"\t\t\t[[ $w == *=* ]] && n=1\n"
	"\t\telse\n"
	"\t\t\tn=$((n + 1))\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tif [[ $word == --*=* ]]; then\n"
	"\t\topt=${word%%=*} head=$opt= n=0\n"
	"\telif [[ $word == -* ]]; then\n"
	"\t\topt=\n"
	"\tfi\n"
	"\titem=${word#\"$head\"}\n"
	"\tif ! _vmm_values \"$opt\" '' || [[ $n -gt 0 && ! $many ]]; then\n"
	"\t\tfiles= list=$_vmm_options\n"
	"\t\t_vmm_reply \"$word\" '' \"$taken\"\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tif [[ $keys && $item == *,* ]]; then\n"
	"\t\thead+=${item%,*},\n"
	"\t\titem=${item##*,}\n"
	"\t\tfiles= list=$keys\n"
	"\telif [[ $n -gt 0 ]]; then\n"
	"\t\tlist+=\" $_vmm_options\"\n"
	"\tfi\n"
	"\tif [[ $keys && $item == *=* ]]; then\n"
	"\t\tkey=${item%%=*}\n"
	"\t\thead+=$key=\n"
	"\t\titem=${item#*=}\n"
	"\t\t_vmm_values \"$opt\" \"$key\"\n"
	"\tfi\n"
	"\t_vmm_reply \"$item\" \"$head\" \"$taken\"\n"
	"}\n"
	"\n"
	"complete -F _vmm vmm\n";

static void doc_bash_option_keys(const struct cli_option *opt,
				 unused_param void *arg)
{
	if (!opt->param && !opt->set)
		return;
	printf("\t--%s)\n\t\t", opt->name);
	if (opt->set) {
		printf("keys='");
		for (unsigned int i = 0; i < opt->set->nr_params; i++)
			printf("%s%s=", i ? " " : "", opt->set->params[i].name);
		printf("'%s ", opt->repeats ? " many=1" : "");
	}
	puts(";;");
}

/* Which words can be p's value: fills in list or files. */
static void doc_bash_value(const struct param *p)
{
	char words[192];

	if (p->type == PARAM_PATH) {
		printf("files=1");
	} else if (p->type == PARAM_BOOL) {
		printf("list='on off'");
	} else if (p->type == PARAM_ENUM) {
		param_choices_text(p, false, " ", words, sizeof(words));
		printf("list='%s'", words);
	} else {
		printf(":");
	}
}

static void doc_bash_option_values(const struct cli_option *opt,
				   unused_param void *arg)
{
	const struct param *first = opt->param;

	if (opt->set)
		first = param_find(opt->set, opt->set->shorthand);
	if (first || opt->set) {
		printf("\t'--%s ')\n\t\t", opt->name);
		if (first)
			doc_bash_value(first);
		if (opt->set)
			printf("%slist+=\" $keys\"", first ? "; " : "");
		puts(" ;;");
	}
	for (unsigned int i = 0; opt->set && i < opt->set->nr_params; i++) {
		printf("\t'--%s %s')\n\t\t", opt->name,
		       opt->set->params[i].name);
		doc_bash_value(&opt->set->params[i]);
		puts(" ;;");
	}
}

static void doc_bash_option_name(const struct cli_option *opt, void *arg)
{
	const char **sep = arg;

	printf("%s--%s", *sep, opt->name);
	*sep = " ";
}

static void doc_bash(void)
{
	const char *sep = "";

	fputs(doc_bash_head, stdout);
	cli_options_visit(doc_bash_option_keys, NULL);
	fputs(doc_bash_middle, stdout);
	cli_options_visit(doc_bash_option_values, NULL);
	fputs(doc_bash_options, stdout);
	fputs("_vmm_options='", stdout);
	cli_options_visit(doc_bash_option_name, &sep);
	fputs("'\n\n", stdout);
	fputs(doc_bash_tail, stdout);
}

/* ---- bash completion of vmmctl ---- */

static const char doc_ctl_tail[] =
	"_vmmctl()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb= w list files=\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tfor w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	"\t\t[[ \" $_vmmctl_verbs \" == *\" $w \"* ]] && verb=$w && break\n"
	"\tdone\n"
	"\tif [[ $verb == create ]] && declare -F _vmm >/dev/null; then\n"
	"\t\t_vmm\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tlist='--api-socket --json --help --version'\n"
	"\tif [[ $verb ]]; then\n"
	"\t\t_vmmctl_words \"$verb\"\n"
	"\telse\n"
	"\t\tlist+=\" $_vmmctl_verbs\"\n"
	"\tfi\n"
	"\tif [[ ${COMP_WORDS[COMP_CWORD-1]} == --api-socket ||\n"
	"\t      $cur == = || ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then\n"
	"\t\tlist= files=1\n"
	"\tfi\n"
	"\tif [[ $files ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -f -- \"${cur#=}\"))\n"
	"\tfi\n"
	"\tCOMPREPLY+=($(compgen -W \"$list\" -- \"$cur\"))\n"
	"\tif [[ ${COMPREPLY[0]} == *= ]]; then\n"
	"\t\tcompopt -o nospace 2>/dev/null\n"
	"\tfi\n"
	"}\n"
	"\n"
	"complete -F _vmmctl vmmctl\n";

static void doc_ctl_words(const struct verb *v)
{
	const struct param_set *set = v->class ? v->class->params : v->set;

	if (!set && !v->run)
		return;
	printf("\t%s)\n\t\tlist='", v->name);
	for (unsigned int i = 0; set && i < set->nr_params; i++)
		printf(v->class ? "%s%s=" : "%s--%s", i ? " " : "",
		       set->params[i].name);
	if (v->run && strchr(v->args, '['))
		fputs("--once", stdout);
	printf("'%s ;;\n", v->run && !strchr(v->args, '[') ? " files=1" : "");
}

static void doc_ctl_bash(void)
{
	const struct verb *v;

	puts("# bash completion for vmmctl(1), made from its table of verbs\n"
	     "# SPDX-License-Identifier: Apache-2.0\n");
	fputs("_vmmctl_verbs='", stdout);
	for (v = verbs_all(); v->name; v++)
		printf("%s%s", v == verbs_all() ? "" : " ", v->name);
	puts("'\n\n# What may stand behind verb $1.\n"
	     "_vmmctl_words()\n{\n\tcase \"$1\" in");
	for (v = verbs_all(); v->name; v++)
		doc_ctl_words(v);
	puts("\tesac\n}\n");
	fputs(doc_ctl_tail, stdout);
}

int main(int argc, char **argv)
{
	int status = 0;

	if (argc == 3 && strcmp(argv[1], "man") == 0) {
		status = doc_man(argv[2], DOC_OPTIONS, doc_man_options);
	} else if (argc == 3 && strcmp(argv[1], "ctl-man") == 0) {
		status = doc_man(argv[2], DOC_VERBS, doc_man_verbs);
	} else if (argc == 2 && strcmp(argv[1], "ctl-bash") == 0) {
		doc_ctl_bash();
	} else if (argc == 2 && strcmp(argv[1], "bash") == 0) {
		doc_bash();
	} else {
		fputs("usage: optiondoc [ctl-]man FILE | optiondoc [ctl-]bash\n",
		      stderr);
		return 1;
	}
	if (fflush(stdout) || ferror(stdout)) {
		perror("stdout");
		return 1;
	}
	return status;
}
