"""Cuts Chinese, which is written without blanks, into words.

Words that stand in a list are found first, the longest one at each place. What is left between
them and the particles is a word if it is two characters long, as most rarer words are, else each
character stands for itself. No statistics and no dependency: an edit inside a word has to be
recognised as such, not every word be known.
"""

from __future__ import annotations

import re
from functools import cache

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN_BEFORE_HAN = re.compile(rf"[{HAN}](?=[{HAN}])")
_HAN_BLANK_HAN = re.compile(rf"[{HAN}][ \u3000](?=[{HAN}])")
_FEWEST_BLANKS = 3
#: Numerals make one number together (二十五).
_NUMERALS = "零〇一二两三四五六七八九十百千万亿半"
#: Characters that are words by themselves more often than parts of a word nobody listed.
_ALONE = frozenset(
    "的地得了着过是在我你您他她它们这那哪有没不就和与或及而且但也都很更最太又再还才只被把让给"
    "从到对为以于之其所此个条张块片位名次种项件座辆本支根颗棵朵匹头双组排行列层第要会能可去来"
    "说看做用将向往由比跟同等吗呢吧啊呀嘛即则若如因故使令设求解共约每各某该另几多少年月日时分"
    "秒元角米克升吨岁度倍边点线面上下中里内外前后左右红黄蓝绿黑白灰紫粉橙人大小高低长短新旧好"
    "坏猫狗鸟鱼马牛羊车船树花草山水火"
)
_WORDS = """
答案 结果 问题 题目 选项 选择 正确 错误 因此 所以 因为 由于 如果 那么 但是 不过 然而 虽然 尽管
而且 并且 或者 还是 首先 其次 然后 接着 最后 最终 总之 综上 综上所述 根据 按照 通过 关于 对于 至于
除了 除此之外 另外 此外 同时 同样 我们 你们 他们 她们 它们 自己 大家 别人 什么 怎么 怎样 如何 哪里
哪个 多少 为什么 这个 那个 这些 那些 这里 那里 这样 那样 这种 那种 一些 一样 一起 一共 一定
一直 一般 一切 各种 所有 全部 部分 其中 其他 其它 可以 可能 能够 应该
应当 必须 需要 不能 不是 不会 没有 只有 只要 就是 也是 还有 已经 正在 曾经 将要 马上 立刻 仍然
总是 经常 有时 常常 非常 十分 特别 比较 更加 几乎 大约 大概 左右 至少 至多 最多 最少 以上 以下
以内 以外 之间 之前 之后 以前 以后 之上 之下 其余 剩下 剩余 总共 总数 总和 总计 合计 平均 平均数
平均值 中位数 众数 方差 标准差 概率 统计 数据 数量 数字 数值 数学 整数 小数 分数 负数 正数 奇数
偶数 质数 素数 合数 倍数 因数 约数 公倍数 公约数 最大 最小 最大值 最小值 极值 函数 方程 方程组
不等式 等式 公式 定理 定义 性质 证明 已知 求解 计算 运算 加法 减法 乘法 除法 相加 相减 相乘 相除
加上 减去 乘以 除以 等于 大于 小于 不等于 不大于 不小于 平方 立方 平方根 立方根 根号 绝对值 系数
常数 变量 未知数 代入 化简 展开 分解 因式 图形 三角形 正方形 长方形 矩形 圆形 圆柱 圆锥 球体
正方体 长方体 平行四边形 梯形 菱形 多边形 五边形 六边形 直角 锐角 钝角 直角三角形 等腰三角形
等边三角形 面积 周长 体积 表面积 半径 直径 高度 长度 宽度 深度 厚度 距离 角度 底边 斜边 对角线
边长 中点 顶点 端点 交点 原点 坐标 坐标系 横坐标 纵坐标 直线 线段 射线 曲线 平行 垂直 相交 相似
全等 对称 旋转 平移 抛物线 双曲线 椭圆 圆心 圆周 圆周率 切线 法线 向量 矩阵 行列式 集合 子集 交集
并集 补集 数列 等差 等比 级数 极限 导数 微分 积分 斜率 截距 速度 加速度 时间 路程 质量 重量 力量
压力 压强 密度 温度 能量 功率 电流 电压 电阻 电路 频率 波长 光线 反射 折射 重力 摩擦力 图片 图像
图中 照片 画面 颜色 红色 黄色 蓝色 绿色 黑色 白色 灰色 紫色 粉色 橙色 棕色 金色 银色 形状 大小
位置 方向 左边 右边 上面 下面 上方 下方 左侧 右侧 中间 旁边 前面 后面 里面 外面 左上角 右上角
左下角 右下角 中央 中心 背景 物体 圆圈 方块 箭头 数一数 观察 看到 看见 发现 注意 显示 表示 表明
说明 描述 代表 属于 包含 包括 含有 存在 出现 位于 属性 特征 特点 区别 不同 相同 男人 女人 男孩
女孩 孩子 儿童 老人 学生 老师 医生 工人 农民 司机 警察 士兵 朋友 父亲 母亲 爸爸 妈妈 哥哥 弟弟
姐姐 妹妹 儿子 女儿 丈夫 妻子 家庭 学校 大学 小学 中学 教室 医院 商店 公司 工厂 银行 公园 城市
农村 国家 世界 地球 太阳 月亮 星星 天空 海洋 中国 美国 英国 法国 德国 日本 俄罗斯 印度 欧洲 亚洲
非洲 北京 上海 广州 香港 台湾 政府 人民 社会 经济 政治 文化 历史 科学 技术 教育 艺术 音乐 电影
电视 电脑 手机 网络 互联网 软件 程序 系统 信息 新闻 报纸 书籍 文章 文字 语言 汉语 英语 中文 英文
汽车 火车 飞机 自行车 摩托车 公共汽车 轮船 船只 道路 街道 桥梁 房子 房屋 建筑 大楼 窗户 桌子 椅子
沙发 床铺 杯子 盘子 瓶子 盒子 箱子 袋子 衣服 裤子 裙子 帽子 鞋子 眼镜 手表 雨伞 水果 苹果 香蕉
橙子 橘子 葡萄 西瓜 草莓 蔬菜 面包 牛奶 鸡蛋 米饭 动物 小狗 小猫 狮子 老虎 大象 猴子 兔子 熊猫
长颈鹿 斑马 绵羊 山羊 奶牛 马匹 鸟儿 蝴蝶 蜜蜂 植物 花朵 树木 树叶 草地 森林 今天 明天 昨天 现在
过去 未来 将来 早上 上午 中午 下午 晚上 夜间 星期 星期一 星期二 星期三 星期四 星期五 星期六 星期日
小时 分钟 秒钟 年代 世纪 时期 时候 期间 阶段 春天 夏天 秋天 冬天 公里 千米 厘米 毫米 分米 平方米
平方厘米 立方米 千克 公斤 毫升 二战 一战 世界大战 大战 战争 战斗 战役 军队 军事 武器 和平 胜利
失败 进攻 防御 占领 独立 革命 解放 领导 领袖 总统 主席 总理 国王 皇帝 王朝 帝国 共和国 联邦 议会
选举 法律 法院 警方 犯罪 权利 权力 自由 民主 制度 政策 计划 项目 工程 工作 任务 活动 开始 结束
继续 停止 进行 完成 实现 达到 得到 获得 取得 失去 增加 减少 提高 降低 上升 下降 改变 变化 发展
发生 产生 形成 成为 变成 作为 认为 觉得 知道 了解 理解 认识 明白 记得 忘记 希望 喜欢 讨厌 害怕
相信 怀疑 决定 同意 反对 支持 帮助 保护 破坏 使用 利用 应用 采用 建立 建设 建造 制造 生产 创造
设计 研究 分析 讨论 解释 回答 解决 处理 管理 控制 影响 导致 引起 造成 要求 允许 购买 出售 价格
价钱 费用 成本 利润 收入 支出 工资 税收 市场 商品 产品 顾客 客户 服务 数目 百分比 百分之 增长
增长率 站立 坐着 站着 躺着 走路 跑步 跳跃 游泳 飞行 吃饭 喝水 睡觉 起床 学习 读书 写字 唱歌 跳舞
玩耍 打球 足球 篮球 网球 棒球 比赛 运动 运动员 球员 球队 冠军 观众 身体 头发 眼睛 鼻子 嘴巴 耳朵
手臂 手指 大腿 脚趾 心脏 大脑 血液 皮肤 骨头 疾病 健康 药物 细胞 基因 蛋白质 分子 原子 电子 离子
元素 化学 物理 生物 反应 溶液 氧气 氢气 二氧化碳 金属 气体 液体 固体 水分 酸性 碱性 重要 主要 基本
简单 复杂 困难 容易 方便 清楚 明显 明确 准确 精确 具体 完全 完整 充分 足够 有效 合理 适合 适当
相关 相应 相等 一半 第一 第二 第三 第四 第五 第一步 第二步 第三步 第四步 步骤 方法 方式
过程 原因 目的 条件 情况 状态 环境 关系
"""
_LIST = frozenset(_WORDS.split())
_LONGEST = max(map(len, _LIST))


def is_spaced(text: str) -> bool:
    """Say whether a Chinese text has blanks between its words, as tokenised texts have."""
    blanks = len(_HAN_BLANK_HAN.findall(text))
    return blanks >= _FEWEST_BLANKS and blanks * 3 >= len(_HAN_BEFORE_HAN.findall(text))


@cache
def _numeral() -> re.Pattern[str]:
    return re.compile(rf"[{_NUMERALS}]+")


def split_words(run: str) -> list[str]:
    """Cut a run of Chinese characters into words."""
    words: list[str] = []
    loose: list[str] = []
    at = 0
    while at < len(run):
        word = _find_word(run, at)
        if word is None and run[at] not in _ALONE:
            loose.append(run[at])
            at += 1
            continue
        words += _join_loose(loose)
        loose = []
        word = word or run[at]
        words.append(word)
        at += len(word)
    return [*words, *_join_loose(loose)]


def _find_word(run: str, at: int) -> str | None:
    for size in range(min(_LONGEST, len(run) - at), 1, -1):
        if run[at : at + size] in _LIST:
            return run[at : at + size]
    numeral = _numeral().match(run, at)
    return numeral[0] if numeral else None


def _join_loose(loose: list[str]) -> list[str]:
    return ["".join(loose)] if len(loose) == 2 else loose
