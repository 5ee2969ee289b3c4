package golden_test

// The reasons of random cases.
const (
	losesWindows = "the library loses windows when a record moves the time past their retention; ours emits every window that closes"
	lastOldValue = "the library hands the last old value from a suppressed table on, which nobody below has seen; ours the one that they saw"
	selfJoined   = "the library tells nobody that a row of a table that is joined with itself is gone; ours gives a tombstone"
)

// randomDifferences are those of random cases. The expectations are what the library answers when these three faults are mended in it.
var randomDifferences = map[string]difference{
	"random-00004": {
		why: losesWindows,
		out: map[int]string{
			15: `[{"topic":"out0","key":"yx-null@0/100","value":"1","ts":1},{"topic":"out0","key":"z-null@0/100","value":"1","ts":22},{"topic":"out0","key":"12-xy@33/133","value":"1","ts":115},{"topic":"out0","key":"12-xy@66/166","value":"1","ts":115},{"topic":"out0","key":"12-xy@99/199","value":"1","ts":115},{"topic":"out0","key":"x y x-null@330/430","value":"1","ts":401},{"topic":"out0","key":"x y x-xy@330/430","value":"1","ts":425},{"topic":"out0","key":"x y x-null@363/463","value":"1","ts":401},{"topic":"out0","key":"x y x-xy@363/463","value":"1","ts":425},{"topic":"out0","key":"b@396/496","value":"1","ts":472},{"topic":"out0","key":"p q-y@396/496","value":"1","ts":494},{"topic":"out0","key":"x y x-null@396/496","value":"1","ts":401},{"topic":"out0","key":"x y x-xy@396/496","value":"1","ts":425},{"topic":"out0","key":"b@429/529","value":"1","ts":472},{"topic":"out0","key":"p q-y@429/529","value":"1","ts":494},{"topic":"out0","key":"b@462/562","value":"1","ts":472},{"topic":"out0","key":"p q-y@462/562","value":"1","ts":494},{"topic":"out0","key":"end-null@561/661","value":"1","ts":644},{"topic":"out0","key":"end-null@594/694","value":"1","ts":644},{"topic":"out0","key":"end-null@627/727","value":"1","ts":644},{"topic":"out1","key":"end","value":"end-null","ts":3494}]`,
		},
	},
	"random-00012": {
		why: selfJoined,
		out: map[int]string{
			19: `[{"topic":"out0","key":"ab","value":null,"ts":22},{"topic":"out1","key":"ab","value":null,"ts":22}]`,
			20: `null`,
		},
	},
	"random-00020": {
		why: selfJoined,
		out: map[int]string{
			4:  `[{"topic":"out0","key":"c1@0/100","value":"1","ts":38}]`,
			11: `[{"topic":"out0","key":"c1@400/500","value":"1","ts":440}]`,
			26: `[{"topic":"out0","key":"a1@600/700","value":"1","ts":690},{"topic":"out0","key":"b1@600/700","value":"1","ts":672},{"topic":"out0","key":"c1@600/700","value":"1","ts":651}]`,
			32: `[{"topic":"out1","key":"c","value":null,"ts":1105}]`,
			41: `[{"topic":"out0","key":"a1@1100/1200","value":"1","ts":1117},{"topic":"out0","key":"ab1@1100/1200","value":"1","ts":1133},{"topic":"out0","key":"c1@1100/1200","value":"1","ts":1159}]`,
			47: `[{"topic":"out0","key":"ab1@1300/1400","value":"1","ts":1385,"headers":[["h","46"]]}]`,
			50: `[{"topic":"out0","key":"b1@1600/1700","value":"1","ts":1670}]`,
			51: `[{"topic":"out0","key":"end1@1800/1900","value":"1","ts":1867}]`,
		},
	},
	"random-00023": {
		why: losesWindows,
		out: map[int]string{
			11: `[{"topic":"out0","key":"ab@6/26","value":"y/null","ts":26},{"topic":"out1","key":"ab@20/40","value":"1","ts":26}]`,
			17: `[{"topic":"out1","key":"c@60/80","value":"1","ts":78}]`,
			19: `[{"topic":"out0","key":"c@58/78","value":"p q/7","ts":78},{"topic":"out0","key":"ab@122/142","value":"7/null","ts":142}]`,
			21: `[{"topic":"out1","key":"a@140/160","value":"1","ts":153},{"topic":"out1","key":"ab@140/160","value":"1","ts":142}]`,
			24: `[{"topic":"out0","key":"a@133/153","value":"b/x/y","ts":153},{"topic":"out1","key":"ab@180/200","value":"1","ts":198}]`,
			41: `[{"topic":"out1","key":"b@220/240","value":"1","ts":222}]`,
			45: `[{"topic":"out0","key":"b@202/222","value":"yx/null","ts":222}]`,
			57: `[{"topic":"out1","key":"ab@320/340","value":"1","ts":330}]`,
			61: `[{"topic":"out0","key":"a@342/362","value":"z/null","ts":362},{"topic":"out1","key":"end@380/400","value":"1","ts":392}]`,
			65: `[{"topic":"out0","key":"end@372/392","value":"end/null","ts":392}]`,
		},
	},
	"random-00025": {
		why: losesWindows,
		out: map[int]string{
			6:  `[{"topic":"out1","key":"ab","value":"x","ts":328},{"topic":"out2","key":"b@13/13","value":"b@13/13","ts":13},{"topic":"out2","key":"ab@19/19","value":"ab@19/19","ts":19},{"topic":"out2","key":"c@79/79","value":"c@79/79","ts":79},{"topic":"out2","key":"ab@89/89","value":"ab@89/89","ts":89}]`,
			16: `[{"topic":"out2","key":"ab@328/328","value":"ab@328/328","ts":328},{"topic":"out2","key":"c@358/375","value":"c@358/375","ts":375},{"topic":"out2","key":"ab@384/384","value":"ab@384/384","ts":384}]`,
			17: `[{"topic":"out0","key":"end","value":"end","ts":3420},{"topic":"out2","key":"end@570/570","value":"end@570/570","ts":570}]`,
		},
		stores: map[string]string{
			"S7": `[{"key":"ab@19/19","value":"ab@19/19","ts":19},{"key":"ab@89/89","value":"ab@89/89","ts":89},{"key":"ab@328/328","value":"ab@328/328","ts":328},{"key":"ab@384/384","value":"ab@384/384","ts":384},{"key":"b@13/13","value":"b@13/13","ts":13},{"key":"c@79/79","value":"c@79/79","ts":79},{"key":"c@358/375","value":"c@358/375","ts":375},{"key":"end@570/570","value":"end@570/570","ts":570}]`,
		},
	},
	"random-00037": {
		why: losesWindows,
		out: map[int]string{
			19: `[{"topic":"out2","key":"all@30/40","value":"12","ts":36}]`,
			21: `[{"topic":"out2","key":"all@50/60","value":"I","ts":54}]`,
			34: `[{"topic":"out0","key":"a","value":"p q","ts":113},{"topic":"out0","key":"a","value":"p q","ts":113},{"topic":"out1","key":"a","value":"p q","ts":113},{"topic":"out1","key":"a","value":"p q","ts":113},{"topic":"out2","key":"all@90/100","value":"I","ts":92}]`,
			45: `[{"topic":"out0","key":"ab","value":"b/x","ts":147},{"topic":"out0","key":"ab","value":"b/x","ts":147},{"topic":"out1","key":"ab","value":"x","ts":147},{"topic":"out1","key":"ab","value":"x","ts":147},{"topic":"out2","key":"all@120/130","value":"I","ts":120}]`,
			48: `[{"topic":"out2","key":"all@140/150","value":"I","ts":147}]`,
			49: `[{"topic":"out2","key":"all@160/170","value":"I","ts":162}]`,
		},
	},
	"random-00056": {
		why: losesWindows,
		out: map[int]string{
			7:  `[{"topic":"out0","key":"ab@0/20","value":"y","ts":1},{"topic":"out0","key":"b@0/20","value":"x","ts":19},{"topic":"out0","key":"c@0/20","value":"c/z","ts":14},{"topic":"out0","key":"c@20/40","value":"x","ts":24},{"topic":"out2","key":"ab","value":"p","ts":61},{"topic":"out2","key":"ab","value":"q","ts":61}]`,
			10: `[{"topic":"out0","key":"ab@60/80","value":"p q","ts":61},{"topic":"out2","key":"b","value":"xy","ts":104}]`,
			42: `[{"topic":"out0","key":"a@160/180","value":"x y x","ts":177},{"topic":"out0","key":"ab@160/180","value":"a/y","ts":165},{"topic":"out0","key":"c@160/180","value":"b/x","ts":163},{"topic":"out2","key":"end","value":"end","ts":207}]`,
			43: `[{"topic":"out0","key":"end@200/220","value":"end","ts":207},{"topic":"out2","key":"end","value":"end","ts":777}]`,
		},
		stores: map[string]string{
			"S8": `[{"key":"a@120/140","value":"a/y","ts":124},{"key":"a@140/160","value":"xy","ts":157},{"key":"a@160/180","value":"x y x","ts":177},{"key":"ab@0/20","value":"y","ts":1},{"key":"ab@60/80","value":"p q","ts":61},{"key":"ab@100/120","value":"12","ts":112},{"key":"ab@120/140","value":"x","ts":139},{"key":"ab@140/160","value":"x y x","ts":159},{"key":"ab@160/180","value":"a/y","ts":165},{"key":"b@0/20","value":"x","ts":19},{"key":"b@100/120","value":"xy","ts":109},{"key":"b@140/160","value":"12","ts":152},{"key":"c@0/20","value":"c/z","ts":14},{"key":"c@20/40","value":"x","ts":24},{"key":"c@100/120","value":"7","ts":111},{"key":"c@120/140","value":"7","ts":134},{"key":"c@140/160","value":"xy","ts":157},{"key":"c@160/180","value":"b/x","ts":163},{"key":"end@200/220","value":"end","ts":207}]`,
		},
	},
	"random-00080": {
		why: losesWindows,
		out: map[int]string{
			52: `[{"topic":"out0","key":"12@0/20","value":"12","ts":10,"headers":[["h","50"]]},{"topic":"out0","key":"y@0/20","value":"y","ts":9,"headers":[["h","50"]]}]`,
			55: `[{"topic":"out0","key":"x@40/60","value":"x","ts":47},{"topic":"out0","key":"z@40/60","value":"z","ts":53}]`,
			56: `[{"topic":"out0","key":"a@60/80","value":"a/y","ts":79},{"topic":"out0","key":"b@60/80","value":"b/x","ts":66},{"topic":"out0","key":"yx@60/80","value":"yx","ts":61},{"topic":"out0","key":"b@80/100","value":"b/x","ts":80},{"topic":"out0","key":"y@80/100","value":"y","ts":82},{"topic":"out0","key":"x y x@100/120","value":"x y x","ts":117},{"topic":"out0","key":"12@120/140","value":"12","ts":125},{"topic":"out0","key":"b@120/140","value":"b/x","ts":134},{"topic":"out0","key":"p q@200/220","value":"p q","ts":216},{"topic":"out0","key":"c@220/240","value":"c/z","ts":224},{"topic":"out0","key":"yx@220/240","value":"yx","ts":226},{"topic":"out0","key":"end@260/280","value":"end","ts":261}]`,
		},
	},
	"random-00088": {
		why: lastOldValue,
		out: map[int]string{
			9:  `[{"topic":"out0","key":"p","value":"1","ts":0}]`,
			23: `[{"topic":"out0","key":"a","value":"0","ts":200},{"topic":"out0","key":"b","value":"1","ts":200}]`,
		},
		stores: map[string]string{
			"S9": `[{"key":"1","value":"0","ts":257},{"key":"7","value":"1","ts":205},{"key":"a","value":"0","ts":200},{"key":"b","value":"1","ts":270},{"key":"c","value":"0","ts":253},{"key":"e","value":"1","ts":873},{"key":"p","value":"0","ts":48},{"key":"x","value":"0","ts":205},{"key":"z","value":"1","ts":257}]`,
		},
	},
	"random-00097": {
		why: losesWindows,
		out: map[int]string{
			6:  `[{"topic":"out0","key":"b@12/14","value":"2","ts":14},{"topic":"out0","key":"c@12/14","value":"1","ts":14},{"topic":"out0","key":"a@13/15","value":"1","ts":15}]`,
			19: `[{"topic":"out0","key":"ab@31/33","value":"1","ts":33},{"topic":"out0","key":"b@34/36","value":"1","ts":36},{"topic":"out0","key":"a@35/37","value":"1","ts":37},{"topic":"out0","key":"c@35/37","value":"1","ts":37},{"topic":"out0","key":"b@36/38","value":"2","ts":38}]`,
			36: `[{"topic":"out0","key":"ab@42/44","value":"1","ts":44},{"topic":"out0","key":"b@42/44","value":"1","ts":44},{"topic":"out0","key":"a@43/45","value":"1","ts":45},{"topic":"out0","key":"a@45/47","value":"2","ts":47},{"topic":"out0","key":"a@46/48","value":"1","ts":47}]`,
			37: `[{"topic":"out0","key":"end@56/58","value":"1","ts":58}]`,
		},
	},
	"random-00109": {
		why: lastOldValue,
		out: map[int]string{
			23: `[{"topic":"out0","key":"a","value":"b/x","ts":79},{"topic":"out1","key":"all","value":",2,3,3","ts":85}]`,
			31: `[{"topic":"out1","key":"all","value":",3,3,1","ts":85}]`,
			38: `[{"topic":"out0","key":"c","value":"7","ts":81},{"topic":"out0","key":"b","value":"yx","ts":93},{"topic":"out1","key":"all","value":",3,1,2","ts":93}]`,
			39: `[{"topic":"out1","key":"all","value":",3,1,2,3","ts":399}]`,
		},
		stores: map[string]string{
			"S8": `[{"key":"all","value":",3,1,2,3","ts":399}]`,
		},
	},
	"random-00110": {
		why: lastOldValue,
	},
	"random-00114": {
		why: losesWindows,
		out: map[int]string{
			19: `[{"topic":"out0","key":"b@7/9","value":"1","ts":9},{"topic":"out0","key":"a@17/19","value":"1","ts":19},{"topic":"out0","key":"b@45/47","value":"1","ts":47},{"topic":"out0","key":"b@46/48","value":"2","ts":48},{"topic":"out0","key":"b@48/50","value":"1","ts":48},{"topic":"out0","key":"end@53/55","value":"1","ts":55}]`,
		},
	},
	"random-00122": {
		why: losesWindows,
		out: map[int]string{
			23: `[{"topic":"out0","key":"ab@40/60","value":"2","ts":51},{"topic":"out0","key":"c@40/60","value":"1","ts":57},{"topic":"out0","key":"b@60/80","value":"1","ts":64},{"topic":"out1","key":"a","value":"x","ts":109},{"topic":"out2","key":"x@99/109","value":"x","ts":109}]`,
			47: `[{"topic":"out0","key":"ab@160/180","value":"1","ts":169},{"topic":"out0","key":"b@160/180","value":"1","ts":162},{"topic":"out0","key":"end@180/200","value":"1","ts":199},{"topic":"out1","key":"end","value":"end","ts":769},{"topic":"out2","key":"end@759/769","value":"end","ts":769}]`,
		},
	},
	"random-00135": {
		why: losesWindows,
		out: map[int]string{
			4:  `[{"topic":"out0","key":"5/10","value":"b@5/10","ts":6}]`,
			16: `[{"topic":"out0","key":"25/30","value":"a@25/30","ts":25},{"topic":"out0","key":"25/30","value":"0","ts":25},{"topic":"out0","key":"25/30","value":"0","ts":26}]`,
			40: `[{"topic":"out0","key":"45/50","value":"a@45/50","ts":45}]`,
			53: `[{"topic":"out0","key":"60/65","value":"ab@60/65","ts":64},{"topic":"out0","key":"60/65","value":"0","ts":64}]`,
			54: `[{"topic":"out0","key":"80/85","value":"end@80/85","ts":80}]`,
		},
		stores: map[string]string{
			"S8": `[{"key":"15/20","value":"0","ts":18},{"key":"20/25","value":"b@20/25","ts":20},{"key":"25/30","value":"0","ts":26},{"key":"35/40","value":"0","ts":38},{"key":"40/45","value":"0","ts":44},{"key":"45/50","value":"a@45/50","ts":45},{"key":"5/10","value":"b@5/10","ts":6},{"key":"60/65","value":"0","ts":64},{"key":"80/85","value":"end@80/85","ts":80}]`,
		},
	},
}
